"""Test every estimator on points that are few, repeated, not finite or of one dimension."""

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers.manifolds import gaussian
from intrinsic_clip.dimension import (
    DimensionEstimate,
    Neighbours,
    corrected_participation_ratio,
    correlation_integral,
    gride,
    local_pca,
    mada,
    method_of_moments,
    mle,
    nearest_neighbours,
    scikit_dimension,
    spanning_tree,
    tle,
    twonn,
)

ESTIMATORS: dict[str, Callable[[Tensor | Neighbours], DimensionEstimate]] = {
    "mle": partial(mle, k=4),
    "mle mean": partial(mle, k=6, combine="mean"),
    "twonn": twonn,
    "gride 1 2": gride,
    "gride 2 4": partial(gride, n1=2),
    "gride 1 4": partial(gride, n1=1, n2=4),
    "correlation_integral": partial(correlation_integral, k1=2, k2=4),
    "method_of_moments": partial(method_of_moments, k=4),
    "method_of_moments median": partial(method_of_moments, k=4, combine="median"),
    "mada": partial(mada, k=4),
    "mada harmonic": partial(mada, k=4, combine="harmonic"),
    "tle": partial(tle, k=4),
    "tle median": partial(tle, k=4, combine="median"),
    "local_pca FO": partial(local_pca, k=6),
    "local_pca Fan": partial(local_pca, k=6, criterion="Fan"),
    "local_pca maxgap": partial(local_pca, k=6, criterion="maxgap"),
    "local_pca ratio": partial(local_pca, k=6, criterion="ratio", alpha=0.9),
    "local_pca participation_ratio": partial(local_pca, k=6, criterion="participation_ratio"),
    "local_pca Kaiser": partial(local_pca, k=6, criterion="Kaiser"),
    "local_pca broken_stick": partial(local_pca, k=6, criterion="broken_stick"),
    "local_pca of all": partial(local_pca, k=None),
    "participation_ratio of all": partial(local_pca, k=None, criterion="participation_ratio"),
    "spanning_tree": spanning_tree,
    "corrected_participation_ratio": corrected_participation_ratio,
    "scikit_dimension": partial(scikit_dimension, estimator="TwoNN"),
}
UNBIASED = ["twonn", "gride 1 2", "gride 2 4", "gride 1 4", "correlation_integral", "scikit_dimension"]

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
every = pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)


def check(estimate: DimensionEstimate) -> None:
    """Check that the value is finite and not negative, or NaN with a reason; never infinite."""
    assert not estimate.standard_error.isinf().any()
    assert (estimate.value.isfinite() | estimate.value.isnan()).all()
    assert (estimate.value.nan_to_num(1.0) >= 0).all()
    assert (estimate.reason is not None) or estimate.value.isfinite().all()
    if estimate.pointwise is not None:
        assert not estimate.pointwise.isinf().any()


def same(a: DimensionEstimate, b: DimensionEstimate, rtol: float = 1e-7) -> None:
    torch.testing.assert_close(a.value, b.value, rtol=rtol, atol=0, equal_nan=True)
    torch.testing.assert_close(a.standard_error, b.standard_error, rtol=rtol, atol=1e-9, equal_nan=True)


@every
def test_replicates_equal_one_at_a_time(estimator) -> None:
    points = gaussian(2, 3, 60, 5)
    points[0, 0, :10] = points[0, 0, 10:20]
    points[0, 1, 5] = torch.nan
    points[0, 2, :, 1:] = 0.0
    points[1, 0] = 0.0
    points[1, 1, :, 3:] = 7.0
    points[1, 2, 3:] = points[1, 2, 0]
    together = estimator(points)
    assert together.value.shape == together.standard_error.shape == (2, 3)
    for index in np.ndindex(2, 3):
        alone = estimator(points[index])
        check(alone)
        for field in ("value", "standard_error"):
            torch.testing.assert_close(getattr(together, field)[index], getattr(alone, field), equal_nan=True)
        if together.pointwise is not None:
            assert together.pointwise.shape == (2, 3, 60)
            torch.testing.assert_close(together.pointwise[index], alone.pointwise, equal_nan=True)
    assert together.value[0, 2] == 1
    assert together.value[1, :2].isnan().tolist() == [True, False]


@every
def test_no_replicates_and_no_points(estimator) -> None:
    assert estimator(gaussian(0, 30, 3)).value.shape == (0,)
    assert estimator(gaussian(2, 0, 3)).value.isnan().all()


@every
def test_neighbours_can_be_shared(estimator) -> None:
    points = gaussian(2, 60, 4)
    same(estimator(nearest_neighbours(points, 12)), estimator(points))


@every
def test_duplicates_and_spoilt_rows_do_not_count(estimator) -> None:
    points = gaussian(60, 3)
    spoilt = torch.cat([points, points[:25], torch.full((1, 3), torch.nan), torch.full((1, 3), torch.inf)])
    estimate = estimator(spoilt)
    same(estimate, estimator(points))
    if estimate.pointwise is not None:
        assert estimate.pointwise[60:].isnan().all()


@pytest.mark.slow
@every
def test_512_columns_with_many_duplicates(estimator) -> None:
    distinct = torch.tanh(gaussian(400, 6) @ gaussian(6, 512, seed=1) / 3).float()
    chosen = torch.randint(400, (600,), generator=torch.Generator().manual_seed(0))
    same(estimator(torch.cat([distinct, distinct[chosen]])), estimator(distinct))


@every
def test_constant_columns_do_not_count(estimator) -> None:
    points = gaussian(60, 3)
    same(estimator(torch.cat([torch.full((60, 2), 7.0), points, torch.zeros(60, 40)], -1)), estimator(points))


@every
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 6, 7, 8])
def test_few_points(estimator, n: int) -> None:
    check(estimator(gaussian(n, 3)))


@every
@pytest.mark.parametrize("columns", [1, 2, 5])
def test_collapsed_points_have_no_dimension(estimator, columns: int) -> None:
    estimate = estimator(torch.full((50, columns), 0.3))
    assert estimate.value.isnan()
    assert estimate.standard_error.isnan()
    assert "got 1" in estimate.reason


@every
def test_one_column_is_one_dimension(estimator) -> None:
    estimate = estimator(gaussian(2, 40, 1))
    assert estimate.value.tolist() == [1.0, 1.0]
    assert estimate.standard_error.tolist() == [0.0, 0.0]
    if estimate.pointwise is not None:
        assert (estimate.pointwise == 1).all()


@pytest.mark.parametrize(
    "name", [*UNBIASED, *(name for name in ESTIMATORS if "_pca" in name or "_ratio" in name)]
)
def test_points_on_a_line_in_several_columns(name: str) -> None:
    places = torch.rand(400, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    line = places * torch.tensor([[3.0, -1.0, 2.0]]) + torch.tensor([[1.0, 5.0, 0.0]])
    value = ESTIMATORS[name](line).value.item()
    assert value == pytest.approx(1, abs=0.2 if name in UNBIASED else 1e-9)


@pytest.mark.parametrize(
    "estimator", [mle, mada, partial(method_of_moments, k=20), tle, correlation_integral]
)
def test_points_on_a_line_with_usual_neighbours(estimator) -> None:
    places = torch.rand(400, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert estimator(places * torch.tensor([[3.0, -1.0, 2.0]])).value.item() == pytest.approx(1, abs=0.15)


@every
def test_half_precision(estimator) -> None:
    points = gaussian(200, 4)
    exact = estimator(points).value.item()
    for dtype in (torch.float16, torch.float32):
        assert estimator(points.to(dtype)).value.item() == pytest.approx(exact, rel=0.05)


@pytest.mark.slow
@every
@pytest.mark.parametrize(
    "points",
    [
        pytest.param(torch.eye(30), id="simplex"),
        pytest.param(torch.linalg.qr(gaussian(30, 30))[0], id="rotated simplex"),
        pytest.param(torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0)), id="grid"),
        pytest.param(torch.cartesian_prod(*[torch.arange(2.0)] * 5), id="corners"),
        pytest.param(
            torch.cat([gaussian(50, 3), torch.full((1, 3), 1e300, dtype=torch.float64)]), id="outlier"
        ),
        pytest.param(gaussian(50, 3) * 1e-3 + 1e5 * gaussian(2, 3).repeat(25, 1), id="clusters"),
        pytest.param(gaussian(50, 3) * 1e300, id="huge"),
        pytest.param(gaussian(50, 3) * 1e-300, id="tiny"),
        pytest.param(
            torch.cat([torch.zeros(1, 3), torch.eye(3).double() * 5e-324, gaussian(50, 3).double()]),
            id="denormal",
        ),
    ],
)
def test_awkward_points(estimator, points: Tensor) -> None:
    estimate = estimator(points)
    check(estimate)
    assert not (estimate.value > 1e6).any()


@every
def test_gradients_are_not_followed(estimator) -> None:
    assert not estimator(gaussian(40, 3).requires_grad_()).value.requires_grad


@pytest.mark.slow
@every
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.floats(1e-20, 1e20), st.floats(-100, 100))
def test_invariant_to_scale_translation_permutation_and_rotation(
    estimator, seed: int, scale: float, shift: float
) -> None:
    points = gaussian(50, 3, seed=seed)
    order = gaussian(50, seed=seed).argsort()
    if estimator is spanning_tree:  # it cuts the rows into parts
        order = order.sort().values
    moved = (points @ torch.linalg.qr(gaussian(3, 3, seed=seed + 1))[0] + shift)[order] * scale
    same(estimator(moved), estimator(points), rtol=1e-6)


@pytest.mark.slow
@every
@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(*[st.floats(width=32)] * 2), max_size=14))
def test_finite_or_a_reason(estimator, rows: list[tuple[float, float]]) -> None:
    check(estimator(torch.tensor(rows, dtype=torch.float32).reshape(-1, 2)))


@pytest.mark.slow
@every
@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from([0.0, 0.1, 1.0, 2.0, -1.0])] * 3), min_size=5, max_size=40))
def test_few_distinct_numbers(estimator, rows: list[tuple[float, float, float]]) -> None:
    check(estimator(torch.tensor(rows, dtype=torch.float64)))


@every
def test_warns_once(estimator) -> None:
    points = gaussian(40, 3)
    points[:5] = points[5:10]
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        estimator(points)
    assert [str(w.message) for w in record] == [
        "5 of 40 points are exact duplicates of others and were counted once"
    ]
