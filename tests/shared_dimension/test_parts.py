"""Views, consensus metrics, gaps and the permutation test, each against a value known otherwise."""

from dataclasses import replace

import pytest
import torch
from scipy.stats import hypergeom
from torch.func import jacrev

from intrinsic_clip.encoders.feedforward import mlp
from intrinsic_clip.encoders.replication import replicate
from intrinsic_clip.kernels import library
from intrinsic_clip.shared_dimension import gaps
from intrinsic_clip.shared_dimension.consensus import crossed, metrics, normalised_jacobian, ratios, spectra
from intrinsic_clip.shared_dimension.matching import HeldOut, held_out
from intrinsic_clip.shared_dimension.pairs import without_repeats
from intrinsic_clip.shared_dimension.training import Pair, Recipe
from intrinsic_clip.shared_dimension.verdict import SIGNIFICANT, decide
from intrinsic_clip.shared_dimension.views import prepared


def test_jacobian_is_that_of_the_normalised_embedding() -> None:
    encoder = replicate(lambda d: mlp(5, d, 16, 2), 5, [0, 1], [4], (2,))
    points = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    jacobian = normalised_jacobian(encoder, points)
    for i, point in enumerate(points):
        expected = jacrev(lambda row: torch.nn.functional.normalize(encoder(row[None]), dim=-1)[:, 0])(point)
        torch.testing.assert_close(jacobian[..., i], expected, rtol=1e-4, atol=1e-5)
    local = metrics(encoder, points)
    torch.testing.assert_close(local.diagonal(dim1=-2, dim2=-1).sum(-1), torch.ones(2, 3))


def test_each_half_of_the_replicates_is_measured_along_the_other_halfs_directions() -> None:
    local = torch.stack([torch.diag(torch.tensor([0.8, 0.2])), torch.diag(torch.tensor([0.4, 0.6]))])[:, None]
    values = crossed(local)
    for first, second in values[:, 0].tolist():  # of the second along the first's directions, or the reverse
        assert (first, second) in [pytest.approx((0.4, 0.6)), pytest.approx((0.2, 0.8))]
    torch.testing.assert_close(spectra(local), torch.tensor([[0.3, 0.7]]).double().sqrt())


def test_one_replicate_has_its_own_eigenvalues() -> None:
    local = torch.diag(torch.tensor([0.2, 0.7, 0.1]))[None, None]
    torch.testing.assert_close(spectra(local), torch.tensor([[0.7, 0.2, 0.1]]).double().sqrt())


def test_directions_that_replicates_do_not_share_give_a_flat_spectrum() -> None:
    generator = torch.Generator().manual_seed(0)
    own = torch.randn(6, 40, 30, 4, generator=generator)  # four directions of each replicate at each point
    common = torch.zeros(6, 40, 30, 2)
    common[..., 0, 0], common[..., 1, 1] = 7.0, 5.0
    factors = torch.cat([common, own], -1)
    steps = ratios(spectra(factors @ factors.mT).mean(0), 20)
    assert steps[1] > 2
    assert float(steps[2:].max()) < 1.1


def test_ratios_end_where_the_sphere_has_no_more_dimensions() -> None:
    spectrum = torch.tensor([4.0, 2.0, 1.0, 0.0, 0.0]).double()
    assert ratios(spectrum, 4).tolist() == [2.0, 2.0]


def test_the_last_gap_counts() -> None:
    values = torch.tensor([3.0, 1.1, 1.5, 1.1, 1.05])
    gap = gaps.last_gap(values, gaps.thresholds(1.02))
    assert (gap.dimension, gap.ratio, gap.later) == (3, 1.5, pytest.approx(1.1))
    between = gaps.last_gap(torch.tensor([1.8, 1.12, 1.02]), gaps.thresholds(1.02))
    assert (between.place, between.dimension) == (2, None)  # 1.12 may be a gap or not
    dwarfed = gaps.last_gap(torch.tensor([1.1, 3.0, 1.12, 1.02]), gaps.thresholds(1.02))
    assert (dwarfed.dimension, dwarfed.later) == (2, pytest.approx(1.12))
    for values, dimension in (
        ([1.1, 20.0, 1.2, 1.02], 2),
        ([1.1, 3.0, 1.2, 1.02], 3),
        ([20.0, 1.02, 1.2, 1.01], 3),
    ):
        assert gaps.last_gap(torch.tensor(values), gaps.thresholds(1.02)).dimension == dimension
    decay = gaps.last_gap(torch.tensor([1.08, 1.16, 1.13]), gaps.thresholds(1.02))
    assert decay.dimension is None
    steep = gaps.last_gap(torch.tensor([1.2, 2.0, 1.2, 1.12, 1.1, 1.08]), gaps.thresholds(1.02))
    assert (steep.dimension, steep.later) == (2, pytest.approx(1.2))  # what decays behind the gap is none


def test_uneven_shuffled_pairs_raise_the_threshold() -> None:
    assert gaps.thresholds(1.05).least == 1.15
    assert gaps.thresholds(1.3).least == pytest.approx(1.69)


def test_effective_number_holds_the_weight() -> None:
    assert gaps.effective_number(torch.tensor([0.9, 0.11, 0.01]).sqrt(), 3) == 2
    assert gaps.effective_number(torch.ones(20), 20) == 18
    flat = torch.cat([torch.tensor([1.0, 0.9]), torch.full((30,), 0.3)])
    assert gaps.effective_number(flat, 24) == 2  # what any direction gets is no weight


def test_constant_columns_are_left_out_and_others_standardised() -> None:
    rows = torch.randn(500, 40, generator=torch.Generator().manual_seed(0)) * torch.linspace(1, 1e4, 40) + 1e6
    rows[:, 3] = 7.0
    view = prepared(rows, narrowest=24)
    assert view.inputs == 39
    torch.testing.assert_close(view.rows.std(0), torch.ones(39), rtol=1e-3, atol=0)
    assert view.notes("x") == ["x: 1 of 40 columns are constant to 12 digits and left out"]


@pytest.mark.parametrize("far", [1e4, 1e300])
def test_a_value_far_from_all_others_is_cut(far) -> None:
    rows = torch.randn(5000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    without = prepared(rows, 3)
    rows[7, 1] = far
    view = prepared(rows, 3)
    assert (view.cut, view.dominated, without.cut) == (1, 0, 0)
    assert "values of 1 row, more than 20 interquartile ranges" in view.notes("x")[0]
    assert torch.allclose(view.rows[:7, 0], without.rows[:7, 0])
    assert torch.allclose(view.rows[:7, 1], without.rows[:7, 1], rtol=0.1, atol=0.02)


def test_features_that_are_often_far_are_left_as_they_are() -> None:
    rows = torch.randn(5000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) ** 7
    assert prepared(rows, 3).cut == 0


def test_a_row_that_hides_the_others_is_noted() -> None:
    rows = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
    rows[:, 2] = 0  # as a rare word's column
    rows[3, 2] = 1
    view = prepared(rows, 3)
    assert (view.cut, view.dominated) == (0, 1)
    assert "in 1 of 3 columns a single row holds more than half" in view.notes("x")[0]


def test_wide_views_become_principal_inputs() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(300, 5, generator=generator) @ torch.randn(5, 200, generator=generator)
    view = prepared(rows, narrowest=4, widest=10)
    assert (view.inputs, view.decoys) == (10, 0)
    assert view.kept == pytest.approx(1)
    assert float(view.rows.square().mean()) == pytest.approx(1)


def test_permutation_test_has_its_size_and_power() -> None:
    generator = torch.Generator().manual_seed(0)
    p_values = []
    for seed in range(12):
        x, y = torch.nn.functional.normalize(torch.randn(2, 2, 60, 5, generator=generator), dim=-1)
        p_values.append(held_out(x, y, seed).p_value)
    assert 0.25 < sum(p_values) / 12 < 0.75
    paired = held_out(x, x, 0)
    assert paired.p_value == pytest.approx(5e-4)
    assert paired.top_1 == 1
    assert paired.chance == pytest.approx(1 / 60)


def test_matching_of_codes_has_the_p_value_of_fishers_exact_test_in_any_order() -> None:
    """Many permutations leave the mean of the diagonal as it is, and count whatever rounding does to their sums."""
    codes = torch.zeros(2, 100, dtype=torch.int64)
    codes[0, :5] = codes[1, 3:8] = 1  # two ones of five meet: 0.019
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(2, 2, 5, generator=generator), dim=-1)
    for seed in range(6):
        order = torch.randperm(100, generator=generator)
        x, y = (side[code[order]][None] for side, code in zip(directions, codes, strict=True))
        p_value = held_out(x, y, seed).p_value
        assert p_value == pytest.approx(hypergeom.sf(1, 100, 5, 5), abs=0.011)


def test_repeated_pairs_are_left_out() -> None:
    """A pair that is learned from and held out at once would look shared."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 150, 3, generator=generator)
    left, right, notes = without_repeats(torch.cat([x, x[:50], x[:1]]), torch.cat([y, y[:50], y[5:6]]))
    assert torch.equal(left, torch.cat([x, x[:1]]))
    assert torch.equal(right, torch.cat([y, y[5:6]]))
    assert notes == ["50 of 201 pairs repeat an earlier one and are left out"]
    with pytest.raises(ValueError, match="50 distinct pairs are too few"):
        without_repeats(x[:50].repeat(4, 1), y[:50].repeat(4, 1))


MATCHED = HeldOut(pairs=400, top_1=0.2, chance=0.0025, p_value=0.0005, z=20.0, information=2.0, tau=0.1)


def test_the_interval_of_the_effective_number_holds_it() -> None:
    decay = gaps.Gap(1, 1.09, 1.07, clear=False)
    verdict = decide(decay, 39, MATCHED, 1.06, sorted(range(22, 36)))
    assert verdict.dimension is None
    assert verdict.interval[0] < 39 < verdict.interval[1]
    assert "90 % of its weight in 39" in verdict.text


def test_limits_belong_to_the_side_that_their_names_say() -> None:
    gap = gaps.Gap(3, 5.0, 1.1, clear=True)
    for p_value, dimension in ((SIGNIFICANT, 3), (1.01 * SIGNIFICANT, 0)):
        assert decide(gap, 3, replace(MATCHED, p_value=p_value), 1.06, [3] * 40).dimension == dimension
    for ratio, is_flat in ((1.06, True), (1.07, False)):
        verdict = decide(gaps.Gap(1, ratio, 1.05, clear=False), 3, MATCHED, 1.06, [3] * 40)
        assert (verdict.doubt is not None) == is_flat
        assert ("as flat as that of shuffled pairs" in verdict.text) == is_flat


def test_few_trainings_have_the_first_half_of_their_ratios_read() -> None:
    steps = torch.arange(9.0).expand(2, 9)
    assert gaps.readable(steps, gaps.FEW).shape == (2, 9)
    assert gaps.readable(steps, gaps.FEW - 1).tolist() == [[0.0, 1.0, 2.0, 3.0]] * 2
    assert gaps.readable(steps[:, :1], 1).shape == (2, 1)


def test_the_interval_leaves_out_a_fortieth_of_the_draws_at_each_end() -> None:
    gap = gaps.Gap(3, 5.0, 1.1, clear=True)
    draws = [1] * 5 + [2] * 5 + [3] * 180 + [4] * 5 + [5] * 5
    verdict = decide(gap, 3, MATCHED, 1.06, draws)
    assert (verdict.dimension, verdict.interval, verdict.agreement) == (3, (2, 4), 0.9)


def test_matching_at_chance_outweighs_any_gap() -> None:
    gap = gaps.Gap(3, 5.0, 1.1, clear=True)
    chance = HeldOut(400, 0.002, 0.0025, p_value=0.3, z=0.5, information=0.0, tau=1.0)
    assert decide(gap, 3, chance, 1.06, [3] * 40).dimension == 0
    assert decide(gap, 3, MATCHED, 1.06, [3] * 40).dimension == 3


def test_a_dimension_that_only_lengths_show_counts() -> None:
    """Outputs in proportion to three inputs: their directions have two dimensions."""
    sizes = gaps.thresholds(1.02)
    directions = gaps.last_gap(torch.tensor([1.1, 4.0, 1.02, 1.01]), sizes)
    longer = gaps.with_length(directions, torch.tensor([1.1, 1.1, 4.5, 1.02]), sizes)
    assert (longer.dimension, longer.ratio, longer.later) == (3, pytest.approx(4.5), pytest.approx(1.02))
    assert gaps.with_length(directions, torch.tensor([1.1, 2.5, 1.3, 1.02]), sizes) == directions


def test_lengths_count_where_they_are_asked_for() -> None:
    encoder = replicate(lambda d: mlp(5, d, 16, 0), 5, [0, 1], [4], (2,))
    points = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    ranks = [
        int((spectra(metrics(encoder, points, lengths)[:1])[0] > 1e-3).sum()) for lengths in (False, True)
    ]
    assert ranks == [3, 4]  # of a linear map to four outputs


@pytest.mark.skipif(library.compiler() is None, reason="there is no C++ compiler")
def test_the_kernel_has_the_gradients_of_autograd() -> None:
    pair = Pair((7, 4), Recipe(output_dim=5, replicates=3), seed=0)
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(3, 40, p, generator=generator) for p in (7, 4))
    found = []
    for kernel in (True, False):
        pair.differentiation(kernel)(x, y)
        found.append([parameter.grad.clone() for parameter in pair.parameters()])
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)
    assert not all(map(torch.equal, *found))  # the kernel was used
