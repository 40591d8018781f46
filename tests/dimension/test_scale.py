"""Test the dimension as a function of scale: plateaus, and curves over sample size."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers.manifolds import gaussian
from intrinsic_clip.dimension import ScaleCurve, mle, sample_size_curve, twonn


def curve(*rows: list[float]) -> ScaleCurve:
    value = torch.tensor(rows, dtype=torch.float64)
    at = tuple(2**j for j in range(value.shape[-1]))
    return ScaleCurve(at, value, torch.zeros_like(value), None, 100)


@pytest.mark.parametrize(
    ("values", "start", "stop"),
    [
        ([9.0, 5.0, 5.1, 4.9, 2.0], 1, 4),
        ([5.0, 5.0, 5.0, 3.0, 3.0, 3.0], 0, 3),  # of two equally long the one at the smaller scales
        ([5.0, 5.0, 5.0, 9.0, 3.0, 3.0, 3.0, 3.0], 4, 8),
        ([9.0, 6.0, 4.0, 2.0], 0, 0),
        ([10, 9.1, 8.28, 7.54, 6.86, 6.24], 0, 0),  # any two lie within 5 % of their mean
        ([math.nan, 5.0, 5.0, 5.0, math.nan, 5.0], 1, 4),
        ([math.nan, 5.0, 5.0, math.nan, 5.0, 5.0], 0, 0),
        ([math.nan] * 4, 0, 0),
        ([5.0], 0, 0),
        ([1.0, 1.0], 0, 0),
    ],
)
def test_plateau(values: list[float], start: int, stop: int) -> None:
    plateau = curve(values).plateau()
    assert (plateau.start.item(), plateau.stop.item()) == (start, stop)
    expected = sum(values[start:stop]) / (stop - start) if stop else math.nan
    assert plateau.value.item() == pytest.approx(expected, nan_ok=True)


def test_plateau_of_each_replicate_and_tolerance() -> None:
    both = curve([9.0, 5.0, 5.0, 5.0, 1.0, 1.0], [4.0, 4.3, 4.1, 9.0, 9.0, 9.0])
    plateau = both.plateau()
    assert plateau.start.tolist() == [1, 0]
    assert plateau.stop.tolist() == [4, 3]
    torch.testing.assert_close(both.plateau_value, plateau.value)
    assert both.plateau(0.01).start.tolist() == [1, 3]


def test_sample_sizes_halve() -> None:
    points = gaussian(2, 1000, 4)
    by_size = sample_size_curve(points, k=10)
    assert by_size.at == (1000, 500, 250, 125)
    whole = mle(points, k=10)
    torch.testing.assert_close(by_size.value[:, 0], whole.value)
    torch.testing.assert_close(by_size.standard_error[:, 0], whole.standard_error)
    assert by_size.value.shape == by_size.standard_error.shape == (2, 4)
    assert (by_size.radius, by_size.n, by_size.reason) == (None, 1000, None)


def test_subsets_are_disjoint_and_averaged() -> None:
    points = gaussian(300, 3)
    seen: list[Tensor] = []

    def remember(subsets: Tensor):
        seen.append(subsets)
        return twonn(subsets)

    by_size = sample_size_curve(points, remember, sizes=[60, 100], max_subsets=4)
    assert by_size.at == (100, 60)
    assert [tuple(s.shape) for s in seen] == [(3, 100, 3), (4, 60, 3)]
    for subsets, value, error in zip(seen, by_size.value, by_size.standard_error, strict=True):
        rows = subsets.reshape(-1, 3)
        assert len(torch.unique(rows, dim=0)) == len(rows)
        assert torch.isin(rows[:, 0], points[:, 0]).all()
        each = twonn(subsets)
        torch.testing.assert_close(value, each.value.mean())
        spread, own = each.value.std() / len(subsets) ** 0.5, each.standard_error.norm() / len(subsets)
        torch.testing.assert_close(error, torch.maximum(spread, own))


def test_two_subsets_that_agree_by_chance_are_no_more_certain_than_each() -> None:
    points = gaussian(600, 4)
    halves = [sample_size_curve(points, k=10, sizes=[300], seed=seed).standard_error for seed in range(20)]
    own = float(mle(points[:300], 10).standard_error) / 2**0.5
    assert (
        0.9 * own < min(map(float, halves)) < 1.1 * own
    )  # the two values alone gave a tenth of that in one of ten


@pytest.mark.slow
def test_the_interval_from_two_subsets_holds_the_expectation() -> None:
    halves = sample_size_curve(gaussian(200, 400, 4), k=10, sizes=[200])
    inside = (halves.value - halves.value.mean()).abs() <= 1.96 * halves.standard_error[:, 0][:, None]
    assert inside.double().mean() > 0.84  # 0.7 by the two values alone


def test_replicates_equal_one_at_a_time_and_seeds_differ() -> None:
    points = gaussian(2, 3, 400, 5)
    together = sample_size_curve(points, twonn)
    for r in range(2):
        for s in range(3):
            alone = sample_size_curve(points[r, s], twonn)
            torch.testing.assert_close(together.value[r, s], alone.value)
            torch.testing.assert_close(together.standard_error[r, s], alone.standard_error)
    other = sample_size_curve(points, twonn, seed=1)
    torch.testing.assert_close(other.value[..., 0], together.value[..., 0])
    assert not torch.isclose(other.value[..., 1], together.value[..., 1]).any()


@pytest.mark.slow
def test_error_is_of_the_size_of_the_spread() -> None:
    by_size = sample_size_curve(gaussian(60, 400, 3), twonn, sizes=[50])
    assert by_size.value.std() == pytest.approx(by_size.standard_error.square().mean().sqrt().item(), rel=0.3)


@pytest.mark.parametrize("n", [0, 1, 5])
def test_hardly_any_points(n: int) -> None:
    with pytest.warns(UserWarning, match="distinct"):
        by_size = sample_size_curve(gaussian(n, 3))
    assert by_size.at == (n,)
    assert by_size.value.isnan().all()
    assert "needs at least 21 distinct points" in by_size.reason


def test_a_subset_without_estimate_is_left_out() -> None:
    points = gaussian(100, 3)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    points[order[50:]] = 0.0
    with pytest.warns(UserWarning, match="duplicates"):
        by_size = sample_size_curve(points, twonn, sizes=[50])
    first = twonn(points[order[:50]])
    torch.testing.assert_close(by_size.value[0], first.value)
    torch.testing.assert_close(by_size.standard_error[0], first.standard_error)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": [0]}, "between 1 and 50"),
        ({"sizes": [51]}, "between 1 and 50"),
        ({"sizes": []}, "between 1 and 50"),
        ({"max_subsets": 0}, "max_subsets"),
        ({"min_size": 51}, "min_size must be at most 50, the number of rows, got 51"),
        ({"min_size": 0}, "min_size must be at least 1"),
        ({"min_size": 10.5}, "min_size must be a whole number"),
    ],
)
def test_wrong_arguments(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sample_size_curve(gaussian(50, 2), **options)


@pytest.mark.parametrize("n", [50, 100, 300])
def test_the_smallest_size_is_100_or_all_rows(n: int) -> None:
    at = sample_size_curve(gaussian(n, 2)).at
    assert at == sample_size_curve(gaussian(n, 2), min_size=min(n, 100)).at
    assert at[0] == n


def test_sizes_are_whole_numbers_of_any_kind() -> None:
    points = gaussian(200, 2)
    assert sample_size_curve(points, sizes=np.array([50, 100])).at == (100, 50)
    with pytest.raises(ValueError, match="a size must be a whole number"):
        sample_size_curve(points, sizes=[100.5])
