"""Estimates of mutual information against closed forms, independence, invariances, and plain references."""

import math
import re

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from scipy.special import digamma
from torch import Tensor
from torch.nn.functional import normalize

from helpers.manifolds import gaussian
from intrinsic_clip.metrics import (
    copula_information,
    held_out_infonce_bound,
    infonce_bound,
    ksg_information,
    nwj_bound,
    optimal_temperature,
    smile_estimate,
)
from intrinsic_clip.metrics.copula_information import normal_scores
from intrinsic_clip.metrics.held_out_directions import _dimensions
from intrinsic_clip.metrics.ksg_information import kraskov
from intrinsic_clip.metrics.log_density_ratio import binned, logistic_critic, off_diagonal, steepest_scale

BY_SIMILARITY = (held_out_infonce_bound, nwj_bound, smile_estimate)
ALONG_DIRECTIONS = (copula_information, ksg_information)
EVERY = pytest.mark.parametrize("estimate", [*BY_SIMILARITY, *ALONG_DIRECTIONS])


def on_sphere(n: int, kappa: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw x uniformly on the sphere and y from the von Mises–Fisher law about it: log ratios are κ x·y + constant."""
    generator = torch.Generator().manual_seed(seed)
    x, tangent = normalize(torch.randn(2, n, 3, generator=generator, dtype=torch.float64), dim=-1)
    u = torch.rand(n, 1, generator=generator, dtype=torch.float64)
    height = 1 + torch.log(u + (1 - u) * math.exp(-2 * kappa)) / kappa
    tangent = normalize(tangent - (tangent * x).sum(-1, keepdim=True) * x, dim=-1)
    return x, height * x + (1 - height**2).clamp_min(0).sqrt() * tangent


def information_on_sphere(kappa: float) -> float:
    return kappa / math.tanh(kappa) - 1 - math.log(math.sinh(kappa) / kappa)


def correlated(n: int, correlations: list[float], private: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw Gaussian x and y of which the leading columns correlate, turned at random."""
    m = len(correlations)
    x, noise = gaussian(n, m + private, seed=seed), gaussian(n, m + private, seed=seed + 1)
    rho = torch.tensor([*correlations, *[0.0] * private], dtype=torch.float64)
    turns = torch.linalg.qr(gaussian(2, m + private, m + private, seed=seed + 2)).Q
    return x @ turns[0], (rho * x + (1 - rho**2).sqrt() * noise) @ turns[1]


def information_of(correlations: list[float]) -> float:
    return -sum(math.log(1 - rho**2) for rho in correlations) / 2


@pytest.mark.parametrize("estimate", BY_SIMILARITY)
@pytest.mark.parametrize(("kappa", "tolerance"), [(1.0, 0.03), (10.0, 0.06)])
def test_similarity_that_is_the_log_ratio_gives_the_closed_form(estimate, kappa, tolerance) -> None:
    result = estimate(*on_sphere(1200, kappa))
    assert float(result.value) == pytest.approx(information_on_sphere(kappa), abs=tolerance)
    assert not bool(result.saturated)
    assert result.reason is None


@pytest.mark.parametrize("estimate", ALONG_DIRECTIONS)
@pytest.mark.parametrize("correlations", [[0.5], [0.9, 0.6], [0.8, 0.8, 0.3]])
def test_correlated_gaussians(estimate, correlations) -> None:
    result = estimate(*correlated(3000, correlations), directions=len(correlations))
    # KSG is too small in many dimensions
    tolerance = 0.15 if estimate is ksg_information and len(correlations) > 2 else 0.06
    assert float(result.value) == pytest.approx(information_of(correlations), abs=tolerance)


def test_copula_follows_large_information_and_counts_the_directions() -> None:
    x, y = correlated(3000, [0.999, 0.99, 0.9])
    assert float(copula_information(x, y).value) == pytest.approx(
        information_of([0.999, 0.99, 0.9]), abs=0.15
    )


@pytest.mark.parametrize("bound", BY_SIMILARITY[:2])
def test_lower_bounds_stay_below_the_information_of_gaussians(bound) -> None:
    x, y = (normalize(side, dim=-1) for side in correlated(400, [0.9, 0.9], private=0))
    assert float(bound(x, y).value) < information_of([0.9, 0.9])


@EVERY
def test_independent_data_have_none(estimate) -> None:
    x, y = (normalize(gaussian(5, 400, 6, seed=seed), dim=-1) for seed in (0, 1))
    values = estimate(x, y).value
    assert float(values.mean()) == pytest.approx(0, abs=0.02)
    assert float(values.abs().max()) < 0.06


@pytest.mark.parametrize("estimate", ALONG_DIRECTIONS)
def test_bias_of_given_directions_of_independent_data_is_corrected(estimate) -> None:
    values = estimate(gaussian(20, 400, 4), gaussian(20, 400, 4, seed=1), directions=3).value
    assert abs(float(values.mean())) < 3 * float(values.std()) / math.sqrt(20) + 0.002


def test_the_bound_at_a_small_learned_temperature_is_negative_and_this_one_is_not() -> None:
    x, y = on_sphere(600, 3.0)
    assert float(infonce_bound(x, y, 0.01).mean) < 0 < float(held_out_infonce_bound(x, y).value)


def test_held_out_bound_is_that_of_either_half_at_the_others_temperature() -> None:
    x, y = on_sphere(200, 5.0)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(3))
    halves = [(x[part], y[part]) for part in order.split(100)]
    expected = [float(infonce_bound(*halves[i], optimal_temperature(*halves[1 - i])).mean) for i in (0, 1)]
    assert float(held_out_infonce_bound(x, y, seed=3).value) == pytest.approx(sum(expected) / 2, rel=1e-6)


def test_matched_pairs_saturate_at_log_n_and_one_mistake_costs_little() -> None:
    x = normalize(gaussian(200, 20), dim=-1)
    y = x.clone()
    y[[0, 1]] = y[[1, 0]]
    perfect, mistaken = held_out_infonce_bound(x, x), held_out_infonce_bound(x, y)
    assert float(perfect.value) == pytest.approx(math.log(100), abs=0.02)
    assert bool(perfect.saturated)
    assert "log 100" in str(perfect.reason)
    assert float(mistaken.value) > math.log(100) - 1


@pytest.mark.parametrize(("estimate", "reason"), [
    (nwj_bound, "variance explodes|without limit"),
    (smile_estimate, "density ratio"),
    (copula_information, "infinite"),
    (ksg_information, "the most that so many held-out pairs can show"),
])  # fmt: skip
def test_infinite_information_is_refused_with_a_reason(estimate, reason) -> None:
    x = normalize(gaussian(300, 4), dim=-1)
    result = estimate(x, x)
    assert result.value.isnan()
    assert bool(result.saturated)
    assert re.search(reason, str(result.reason))


@pytest.mark.parametrize("mistaken", [0.0, 0.3])
def test_codes_and_classes_have_no_gaussian_ranks(mistaken: float) -> None:
    """Of twenty classes 3 nats are the most; ranks of 0 and 1 gave 6, or called the information infinite."""
    generator = torch.Generator().manual_seed(0)
    first, other = torch.randint(20, (2, 600), generator=generator)
    second = other.where(torch.rand(600, generator=generator) < mistaken, first)
    classes, captions = torch.eye(20), gaussian(600, 20, seed=1)
    for x, y in ((classes[first], classes[second]), (classes[first], classes[second] + captions / 10)):
        result = copula_information(x, y)
        assert result.value.isnan()
        assert not bool(result.saturated)
        assert "held-out rows of x are 20 different ones" in str(result.reason)
    images = gaussian(120, 3)[torch.arange(600) // 5]  # each beside five captions
    assert float(copula_information(images, images + gaussian(600, 3, seed=1)).value) > 0.5


@pytest.mark.parametrize(("classes", "noise"), [(2, 0.1), (5, 0.05), (5, 0.3), (20, 1e-3)])
def test_classes_with_noise_have_no_gaussian_ranks_either(classes: int, noise: float) -> None:
    """Ranks of five showed 3.1 nats of log 5 = 1.6, those of two 0.3 of 0.7."""
    generator = torch.Generator().manual_seed(4)
    of = torch.randint(classes, (2000,), generator=generator)
    centres = 2 * torch.randn(classes, 8, generator=generator, dtype=torch.float64)
    x, y = (
        centres[of] @ gaussian(8, 8, seed=seed).double() + noise * gaussian(2000, 8, seed=seed).double()
        for seed in (1, 2)
    )
    result = copula_information(x, y)
    assert result.value.isnan()
    assert not bool(result.saturated)
    assert "clusters along a direction, as codes and classes with noise do" in str(result.reason)


def test_tails_edges_and_wide_clusters_are_no_classes() -> None:
    z = gaussian(2000, 3, seed=1).double()
    side = torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])[torch.arange(2000) % 2]
    apart = z + 2.5 * side  # two clusters of five deviations
    for x in (z, z**3, z.exp(), (z > 0) + 0.5 * z, torch.rand(2000, 3, dtype=torch.float64), apart):
        estimate = copula_information(x, x + 0.2 * x.std() * gaussian(2000, 3, seed=2))
        assert bool(estimate.value.isfinite()), estimate.reason


@pytest.mark.parametrize("classes", [2, 3, 20])
def test_nwj_of_equal_classes_is_their_entropy(classes: int) -> None:
    """Others of a class are as similar as partners, up to rounding: there is a limit as τ goes to 0."""
    rows = normalize(gaussian(classes, 8).float(), dim=-1)[torch.arange(60 * classes) % classes]
    result = nwj_bound(rows, rows)
    assert not bool(result.saturated)
    assert float(result.value) == pytest.approx(math.log(classes), abs=0.1)


def test_nwj_explodes_between_and_says_so() -> None:
    result = nwj_bound(*on_sphere(400, 2e3))
    assert result.value.isnan()
    assert "held-out rows, fewer than 30" in str(result.reason)


@EVERY
def test_replicates_equal_one_at_a_time_and_diverged_ones_are_nan(estimate) -> None:
    pairs = [on_sphere(120, kappa, seed) for kappa, seed in ((1.0, 0), (5.0, 1), (20.0, 2), (5.0, 3))]
    x, y = (torch.stack(side).reshape(2, 2, 120, 3) for side in zip(*pairs, strict=True))
    x[1, 1, 7, 0] = math.nan
    together = estimate(x, y)
    assert together.value.shape == together.saturated.shape == (2, 2)
    for place in ((0, 0), (0, 1), (1, 0)):
        torch.testing.assert_close(together.value[place], estimate(x[place], y[place]).value)
    assert together.value[1, 1].isnan()
    assert together.reason == "a representation is not finite"


@EVERY
def test_one_turn_of_both_sides_changes_nothing(estimate) -> None:
    x, y = on_sphere(300, 4.0)
    turn = torch.linalg.qr(gaussian(3, 3, seed=9)).Q
    expected = float(estimate(x, y).value)
    assert float(estimate(x @ turn, y @ turn).value) == pytest.approx(expected, abs=0.02)
    assert float(estimate(y, x).value) == pytest.approx(expected, abs=0.02)


def test_scales_shifts_and_turns_of_each_side_change_nothing_along_directions() -> None:
    x, y = correlated(600, [0.9, 0.5])
    expected = float(copula_information(x, y, directions=2).value)
    turned = copula_information(100 * x @ gaussian(5, 5, seed=8) + 3, y - 7, directions=2)
    assert float(turned.value) == pytest.approx(expected, abs=0.01)


def test_monotone_maps_change_little_of_the_copula() -> None:
    x, y = correlated(2000, [0.8], private=0)
    torch.testing.assert_close(
        copula_information(x**3, y.exp(), directions=1).value, copula_information(x, y, directions=1).value
    )


def test_half_widths_may_differ_along_directions() -> None:
    x, y = correlated(600, [0.9])
    for estimate in ALONG_DIRECTIONS:
        assert float(estimate(x, y[:, :2], directions=1).value) >= 0 or estimate is ksg_information


def test_normal_scores_by_hand() -> None:
    scores = normal_scores(torch.tensor([[3.0], [1.0], [1.0], [9.0]]))
    ranks = torch.tensor([3, 1.5, 1.5, 4], dtype=torch.float64)
    torch.testing.assert_close(scores[:, 0], torch.special.ndtri(ranks / 5))


def ksg_naively(x: Tensor, y: Tensor, k: int) -> float:
    """Return estimator 1 with scipy's search."""
    n, both = len(x), np.concatenate([x, y], 1)
    reach = np.nextafter(cKDTree(both).query(both, k + 1, p=np.inf)[0][:, k], 0)
    counts = [
        cKDTree(side).query_ball_point(side, reach, p=np.inf, return_length=True)
        for side in (x.numpy(), y.numpy())
    ]
    return float(digamma(k) + digamma(n) - np.mean([digamma(count) for count in counts]) * 2)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_ksg_equals_a_tree_search(k) -> None:
    x, y = gaussian(200, 2), gaussian(200, 3, seed=1)
    y[:, :2] += x
    assert kraskov(x, y, k).value == pytest.approx(ksg_naively(x, y, k), rel=1e-10)


def test_ksg_equals_scikit_learn() -> None:
    selection = pytest.importorskip("sklearn.feature_selection")
    x, y = gaussian(300, 1), gaussian(300, 1, seed=1)
    y = 0.7 * x + 0.5 * y
    x, y = (side / side.std(0, correction=0) for side in (x, y))
    expected = selection.mutual_info_regression(x.numpy(), y[:, 0].numpy(), n_neighbors=3, random_state=0)[0]
    assert kraskov(x, y, 3).value == pytest.approx(expected, abs=1e-6)


def test_ksg_in_blocks_and_of_repeated_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = gaussian(100, 2), gaussian(100, 2, seed=1)
    expected = kraskov(x, y, 3).value
    monkeypatch.setattr("intrinsic_clip.metrics.row_blocks.CACHE_BYTES", 0)
    monkeypatch.setattr("intrinsic_clip.metrics.row_blocks.FEW", 7)
    assert kraskov(x, y, 3).value == pytest.approx(expected, rel=1e-12)
    repeated = kraskov(x[:20].repeat(5, 1), y[:20].repeat(5, 1), 3)
    assert math.isnan(repeated.value)
    assert "rows repeat" in str(repeated.reason)


def test_critics_are_the_best_of_their_objectives() -> None:
    x, y = on_sphere(150, 4.0)
    matrix = x @ y.T
    positive, others = matrix.diagonal(), off_diagonal(matrix)
    assert len(others) == 150 * 149
    assert float(others.sum()) == pytest.approx(float(matrix.sum() - positive.sum()))
    best = steepest_scale(float(positive.mean()), binned(others))

    def donsker_varadhan(scale: float) -> float:
        return scale * float(positive.mean()) - float((scale * others).logsumexp(0))

    assert donsker_varadhan(best) > max(donsker_varadhan(0.99 * best), donsker_varadhan(1.01 * best))
    linear = pytest.importorskip("sklearn.linear_model")
    weights = np.concatenate([np.full(150, 1 / 150), np.full(len(others), 1 / len(others))]) * 1e6
    labels = np.concatenate([np.ones(150), np.zeros(len(others))])
    model = linear.LogisticRegression(C=1e6, tol=1e-10).fit(
        torch.cat([positive, others])[:, None].numpy(), labels, sample_weight=weights
    )
    expected = [model.coef_[0, 0], model.intercept_[0]]
    assert list(logistic_critic(binned(positive), binned(others))) == pytest.approx(expected, rel=1e-3)


def test_smile_without_a_clip_is_the_bound_of_donsker_and_varadhan() -> None:
    x, y = on_sphere(300, 3.0)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0)).split(150)
    values = []
    for fit, held_out in (order, order[::-1]):
        matrix = x[fit] @ y[fit].T
        scale, constant = logistic_critic(binned(matrix.diagonal()), binned(off_diagonal(matrix)))
        t = scale * x[held_out] @ y[held_out].T + constant
        values.append(float(t.diagonal().mean() - off_diagonal(t).exp().mean().log()))
    assert float(smile_estimate(x, y, clip=math.inf).value) == pytest.approx(sum(values) / 2, rel=1e-9)


def test_wrong_arguments() -> None:
    x, y = on_sphere(40, 1.0)
    for estimate in (*BY_SIMILARITY, *ALONG_DIRECTIONS):
        with pytest.raises(ValueError, match="at least 16 pairs, got 10"):
            estimate(x[:10], y[:10])
    with pytest.raises(ValueError, match="alike and not empty"):
        nwj_bound(x, y[:, :2])
    with pytest.raises(ValueError, match="clip must be positive"):
        smile_estimate(x, y, clip=0)
    with pytest.raises(ValueError, match="k must be at least 1"):
        ksg_information(x, y, k=0)
    for estimate in ALONG_DIRECTIONS:
        with pytest.raises(ValueError, match="directions must be at least 1"):
            estimate(x, y, directions=0)


def test_directions_of_a_curved_surface_are_not_counted_twice() -> None:
    angles = gaussian(2, 600, 1)
    angles[1] = angles[0] + 0.3 * gaussian(600, 1, seed=2)
    x, y = torch.cat([angles.cos(), angles.sin(), (2 * angles).cos(), (3 * angles).sin()], -1)
    expected = math.log1p(1 / 0.3**2) / 2  # of the angles, of which few are beyond ± π
    assert float(copula_information(x, y).value) <= float(copula_information(x, y, directions=1).value) + 1e-9
    assert (
        float(copula_information(x, y).value) < expected < float(copula_information(x, y, directions=4).value)
    )
    assert float(ksg_information(x, y).value) == pytest.approx(expected, abs=0.4)


@pytest.mark.parametrize("d", [2, 6, 12])
def test_dimensions_that_directions_are_limited_by_are_calibrated(d) -> None:
    assert _dimensions(gaussian(500, d, seed=5), 20) == d
    assert _dimensions(gaussian(500, d, seed=5), 1) == 1
