"""Pairs that are no independent draws are taken once, or make the number doubtful."""

import pytest
import torch

from helpers.manifolds import gaussian
from intrinsic_clip.shared_dimension import verdict
from intrinsic_clip.shared_dimension.dependent_rows import one_of_each, order_note, relatives
from intrinsic_clip.shared_dimension.estimate import shared


def captioned(images: int, captions: int, k: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images and several captions of each that share k of nine latents."""
    z = gaussian(images, k, seed=seed)
    x, y = (
        torch.cat([z, gaussian(images, 9 - k, seed=seed + s)], 1) @ gaussian(9, 16, seed=s) for s in (1, 2)
    )
    x, y = x.repeat_interleave(captions, 0), y.repeat_interleave(captions, 0)
    return x, y + 0.1 * gaussian(*y.shape, seed=3)


@pytest.mark.parametrize("k", [0, 3])
def test_one_pair_of_each_image_is_taken(k: int) -> None:
    estimate = shared(*captioned(400, 4, k))
    assert (estimate.dimension, estimate.n) == (k, 400)
    assert (
        "x: 1,600 rows are 400 different ones, as images beside several captions each are; one pair of each is taken"
        in estimate.notes
    )


def test_each_row_is_left_once_on_either_side() -> None:
    x, y = gaussian(300, 4).repeat_interleave(2, 0), gaussian(150, 3, seed=1).repeat(4, 1)
    kept, notes, few = one_of_each(x, y, 100, 0)
    assert len(x[kept].unique(dim=0)) == len(y[kept].unique(dim=0)) == len(kept) >= 100
    assert torch.equal(kept, kept.sort().values)
    assert (len(notes), few) == (2, {})
    again = one_of_each(x, y, 100, 1)[0]
    assert not torch.equal(again, kept)  # the choice is drawn


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(torch.arange(500)[:, None] % 120, id="classes"),
        pytest.param((gaussian(500, 5) > 0).double(), id="binary"),
        pytest.param((gaussian(500, 3) * 2).round() / 2, id="grades"),
        pytest.param(gaussian(500, 3), id="distinct"),
    ],
)
def test_values_that_agree_by_chance_are_kept(rows: torch.Tensor) -> None:
    kept, notes, few = one_of_each(rows, gaussian(500, 4, seed=1), 100, 0)
    assert (len(kept), notes, few) == (500, [], {})


def test_groups_on_both_sides_leave_no_number() -> None:
    x, y = captioned(50, 20, 0)
    for left in (x, x + 1e-3 * gaussian(*x.shape, seed=4)):
        estimate = shared(left, y, steps=200)
        if estimate.dimension != 0:
            assert estimate.dimension is None
            assert estimate.doubt == "one pair of each group is needed"
            assert estimate.text.startswith("no number can be trusted: one pair of each group is needed")
            assert estimate.advice.startswith("one pair of each group is needed to tell which d would do")
        assert sum("held-out pairs have relatives" in note for note in estimate.notes) == 2


def test_groups_on_one_side_are_noted() -> None:
    assert relatives({"x": "rows come in groups of 2"}) == (["x: rows come in groups of 2"], None)
    assert relatives({}) == ([], None)


def test_a_time_series_is_noted_and_sorted_views_of_one_side_are_not() -> None:
    steps = [gaussian(2000, 3, seed=seed).cumsum(0) for seed in (0, 1)]
    note = order_note(*steps)
    assert note is not None
    assert "successive rows are alike on both sides" in note
    assert order_note(steps[0], gaussian(2000, 3)) is None
    assert not any(order_note(gaussian(100, 1, seed=s), gaussian(100, 1, seed=s + 1)) for s in range(100))


def test_a_large_number_is_a_lower_bound() -> None:
    assert verdict.counted_too_low(14, 14) == verdict.counted_too_low(14, None) == []
    assert "15 is a lower bound" in verdict.counted_too_low(15, 15)[0]


@pytest.mark.slow
def test_an_effective_number_of_noise_is_no_bound() -> None:
    """Few pairs share 8 dimensions, and their noise gives a spectrum that decays without a gap."""
    common = torch.nn.functional.pad(gaussian(600, 8, seed=0), (0, 56))
    found = shared(*(common + 0.3 * gaussian(600, 64, seed=seed) for seed in (1, 2)), steps=300)
    assert found.dimension is None
    assert found.number >= verdict.COUNTED
    assert not any("lower bound" in note for note in found.notes)
    assert any(f"{found.number} is no bound" in note for note in found.notes)
