"""Test TwoNN against scikit-dimension, its standard error, invariances and degenerate points."""

from contextlib import nullcontext

import numpy as np
import pytest
import skdim
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers.given_distances import given_distances
from helpers.manifolds import MANIFOLDS, gaussian, manifold
from intrinsic_clip.dimension import nearest_neighbours, twonn


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [200, 2000])
@pytest.mark.parametrize("name", MANIFOLDS)
def test_equals_scikit_dimension(name: str, n: int, dtype: torch.dtype) -> None:
    points = torch.from_numpy(manifold(name, n)).to(dtype)
    reference = skdim.id.TwoNN().fit(points.double().numpy()).dimension_
    estimate = twonn(points)
    assert estimate.value.item() == pytest.approx(reference, rel=1e-4)
    assert (estimate.n, estimate.k, estimate.pointwise, estimate.reason) == (n, 2, None, None)


@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 29, 30, 90, 180, 1010])
@pytest.mark.parametrize("discard", [0.05, 0.1, 0.3, 0.5, 0.7])
def test_keeps_as_many_ratios_as_scikit_dimension(n: int, discard: float) -> None:
    points = gaussian(n, 3, seed=n)
    reference = skdim.id.TwoNN(discard_fraction=discard).fit(points.numpy()).dimension_
    assert twonn(points, discard).value.item() == pytest.approx(reference, rel=1e-9)


def test_neighbours_can_be_shared() -> None:
    points = gaussian(2, 300, 4)
    torch.testing.assert_close(twonn(nearest_neighbours(points, 20)).value, twonn(points).value)
    with pytest.raises(ValueError, match="needs 2 neighbours of each point, got 1"):
        twonn(nearest_neighbours(points, 1))


def test_replicates_with_different_counts_equal_one_at_a_time() -> None:
    points = gaussian(2, 3, 130, 5)
    points[0, 0, :31] = points[0, 0, 31:62]
    points[0, 1, 3:10] = torch.nan
    points[0, 2, :, 1:] = 0.0
    points[1, 0] = 0.0
    with pytest.warns(UserWarning, match="duplicates"):
        together = twonn(points)
    for index in np.ndindex(2, 3):
        with (
            pytest.warns(UserWarning, match="duplicates|NaN")
            if index in [(0, 0), (0, 1), (1, 0)]
            else nullcontext()
        ):
            alone = twonn(points[index])
        for field in ("value", "standard_error"):
            torch.testing.assert_close(getattr(together, field)[index], getattr(alone, field), equal_nan=True)
    good = points[0, 1][points[0, 1].isfinite().all(-1)]
    reference = skdim.id.TwoNN().fit(good.numpy()).dimension_
    assert together.value[0, 1].item() == pytest.approx(reference, rel=1e-9)
    assert together.value[0, 2] == 1
    assert together.value[1, 0].isnan()


def test_standard_error_is_that_of_a_sum_of_order_statistics() -> None:
    """Exponential order statistics have covariance Σ_{j ≤ min(i, k)} 1 / (N − j + 1)²; the fit weighs them by y_i."""
    n, kept = 12, 10
    ratios = (1 + gaussian(1, n).abs()).sort(-1).values
    neighbours = given_distances(torch.stack([torch.ones_like(ratios), ratios], -1))
    rank = np.arange(1, kept + 1)
    y = -np.log(1 - rank / n)
    covariance = np.cumsum(1 / (n - rank + 1) ** 2)[np.minimum.outer(rank, rank) - 1]
    estimate = twonn(neighbours, 0.1)
    expected = float(estimate.value) * np.sqrt(y @ covariance @ y) / (y @ y)
    assert float(estimate.standard_error) == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
def test_standard_error_of_independent_ratios() -> None:
    ratios = torch.rand(2000, 400, generator=torch.Generator().manual_seed(0), dtype=torch.float64) ** (
        -1 / 5
    )
    neighbours = given_distances(torch.stack([torch.ones_like(ratios), ratios], -1))
    for discard in (0.02, 0.1, 0.5):
        estimate = twonn(neighbours, discard)
        assert estimate.value.std() == pytest.approx(estimate.standard_error.mean().item(), rel=0.06)


def test_duplicates_do_not_change_the_estimate() -> None:
    points = gaussian(200, 3)
    with pytest.warns(UserWarning, match="50 of 250 points are exact duplicates"):
        estimate = twonn(torch.cat([points[:50], points]))
    torch.testing.assert_close(estimate.value, twonn(points).value)


def test_constant_columns_do_not_change_the_estimate() -> None:
    points = gaussian(200, 3)
    padded = torch.cat([points, torch.full((200, 4), 7.0)], -1)
    torch.testing.assert_close(twonn(padded).value, twonn(points).value)


def test_half_precision() -> None:
    points = gaussian(500, 6)
    assert twonn(points.half()).value == pytest.approx(twonn(points).value.item(), rel=0.05)


def test_one_column_is_one_dimension() -> None:
    estimate = twonn(gaussian(3, 100, 1))
    assert estimate.value.tolist() == [1.0] * 3
    assert estimate.standard_error.tolist() == [0.0] * 3


@pytest.mark.parametrize("d", [1, 5])
def test_collapsed_points_have_no_dimension(d: int) -> None:
    with pytest.warns(UserWarning, match="got 1"):
        estimate = twonn(torch.full((100, d), 0.3))
    assert estimate.value.isnan()
    assert estimate.reason == "needs at least 3 distinct points for k = 2, got 1"


@pytest.mark.parametrize(
    "points", [torch.eye(30), torch.cartesian_prod(torch.arange(5.0), torch.arange(5.0))]
)
def test_equal_ratios_have_a_reason(points: Tensor) -> None:
    with pytest.warns(UserWarning, match="no line can be fitted"):
        estimate = twonn(points)
    assert estimate.value.isnan()
    assert "no line can be fitted" in estimate.reason


@pytest.mark.parametrize("discard", [0.0, 1.0, -0.1, 2.0])
def test_wrong_arguments(discard: float) -> None:
    with pytest.raises(ValueError, match="discard_fraction"):
        twonn(gaussian(50, 2), discard)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(1e-20, 1e20), st.floats(-100, 100))
def test_invariant_to_scale_translation_and_permutation(seed: int, scale: float, shift: float) -> None:
    points = gaussian(60, 3, seed=seed)
    moved = (points + shift)[gaussian(60, seed=seed).argsort()] * scale
    torch.testing.assert_close(twonn(moved).value, twonn(points).value, rtol=1e-7, atol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*(duplicates|distinct|NaN|line)")
@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(*[st.floats(width=32)] * 2), max_size=14))
def test_finite_or_a_reason(rows: list[tuple[float, float]]) -> None:
    estimate = twonn(torch.tensor(rows, dtype=torch.float32).reshape(-1, 2))
    assert estimate.value.isfinite() or estimate.reason
