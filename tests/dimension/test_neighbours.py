"""Test exact nearest neighbours against brute force, with large offsets, duplicates and missing values."""

import math
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers.manifolds import brute_force, gaussian
from intrinsic_clip import dimension
from intrinsic_clip.dimension import (
    exact_search,
    gride,
    local_pca,
    mada,
    method_of_moments,
    mle,
    nearest_neighbours,
    tle,
)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(("n", "d", "k"), [(300, 5, 20), (21, 3, 20), (500, 60, 2), (7, 1, 3)])
def test_equals_brute_force(dtype: torch.dtype, n: int, d: int, k: int) -> None:
    points = gaussian(n, d).to(dtype)
    points = points[exact_search._first_occurrences(points.double())]
    neighbours = nearest_neighbours(points, k)
    assert neighbours.distances.dtype == torch.float64
    assert neighbours.valid.all()
    np.testing.assert_allclose(neighbours.distances.numpy(), brute_force(points, k), rtol=1e-9)
    to_them = points.double()[neighbours.indices] - points.double()[:, None]
    torch.testing.assert_close(torch.linalg.vector_norm(to_them, dim=-1), neighbours.distances)


def test_indices_are_those_of_the_rows_given() -> None:
    points = gaussian(60, 3)
    points[7], points[3] = points[20], math.nan
    with pytest.warns(UserWarning, match="duplicates"):
        neighbours = nearest_neighbours(points, 4)
    assert not neighbours.valid[20]
    assert not neighbours.valid[3]
    assert (neighbours.indices[[3, 20]] == -1).all()
    assert not torch.isin(neighbours.indices[neighbours.valid], torch.tensor([3, 20])).any()
    to_them = points[neighbours.indices] - points[:, None]
    torch.testing.assert_close(
        torch.linalg.vector_norm(to_them, dim=-1)[neighbours.valid], neighbours.distances[neighbours.valid]
    )


@pytest.mark.parametrize(
    "points",
    [
        pytest.param((1e4 + 1e-3 * gaussian(400, 6)), id="far and close, float64"),
        pytest.param((1e4 + gaussian(400, 6)).float(), id="far, float32"),
        pytest.param((1 + 1e-3 * gaussian(400, 6)).float(), id="spread 1e-3, float32"),
        pytest.param(gaussian(400, 6) * 1e-3 + 1e4 * gaussian(4, 6).repeat(100, 1), id="tight clusters"),
        pytest.param(torch.cat([gaussian(399, 6), torch.full((1, 6), 1e9).double()]), id="one outlier"),
        pytest.param(gaussian(400, 6) * 1e-200, id="squares vanish"),
        pytest.param(gaussian(400, 6) * 1e150, id="squares overflow"),
        pytest.param(torch.cartesian_prod(*[torch.arange(8.0)] * 3), id="grid"),
    ],
)
def test_keeps_precision_where_products_lose_it(points: Tensor) -> None:
    neighbours = nearest_neighbours(points, 10)
    scale = 2.0 ** math.frexp(points.double().abs().max().item())[1]  # a power of two rounds nothing
    expected = brute_force(points.double() / scale, 10) * scale
    np.testing.assert_allclose(neighbours.distances.numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_reduced_matmul_precision_changes_nothing(precision: str) -> None:
    points = gaussian(300, 8).float()
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            neighbours = nearest_neighbours(points, 10)
    finally:
        torch.set_float32_matmul_precision(before)
    np.testing.assert_allclose(neighbours.distances.numpy(), brute_force(points, 10), rtol=1e-9)


def test_blocks_do_not_change_the_result() -> None:
    points = gaussian(2, 300, 7)
    whole = nearest_neighbours(points, 5).distances
    torch.testing.assert_close(nearest_neighbours(points, 5, block_bytes=1).distances, whole)
    torch.testing.assert_close(nearest_neighbours(points, 5, block_bytes=100_000).distances, whole)


def test_replicates_equal_one_at_a_time() -> None:
    points = gaussian(2, 3, 100, 4)
    points[0, 1, 5] = points[0, 1, 9]
    points[1, 2, 7, 0] = torch.nan
    with pytest.warns(UserWarning, match="1 of 600 points are exact duplicates.*1 of 600 points hold NaN"):
        together = nearest_neighbours(points, 6)
    assert together.distances.shape == (2, 3, 100, 6)
    for index in np.ndindex(2, 3):
        with (
            pytest.warns(UserWarning, match="duplicates|NaN") if index in [(0, 1), (1, 2)] else nullcontext()
        ):
            alone = nearest_neighbours(points[index], 6)
        torch.testing.assert_close(together.distances[index], alone.distances, equal_nan=True)
        assert torch.equal(together.valid[index], alone.valid)
        assert together.dims[index] == alone.dims == 4


def test_duplicates_count_once() -> None:
    distinct = gaussian(50, 3)
    distinct[0, 0] = 0.0
    copies = distinct[:12].clone()
    copies[0, 0] = -0.0
    with pytest.warns(
        UserWarning, match="^12 of 62 points are exact duplicates of others and were counted once$"
    ):
        neighbours = nearest_neighbours(torch.cat([distinct, copies]), 8)
    assert neighbours.valid.tolist() == [True] * 50 + [False] * 12
    np.testing.assert_allclose(neighbours.distances[:50].numpy(), brute_force(distinct, 8), rtol=1e-9)
    assert neighbours.distances[50:].isnan().all()


def test_more_copies_than_candidates() -> None:
    distinct = gaussian(40, 3)
    with pytest.warns(UserWarning, match="duplicates"):
        neighbours = nearest_neighbours(distinct.repeat_interleave(50, 0), 4)
    assert neighbours.valid.nonzero().squeeze(-1).tolist() == list(range(0, 2000, 50))
    np.testing.assert_allclose(neighbours.distances[::50].numpy(), brute_force(distinct, 4), rtol=1e-9)


def test_rows_with_nan_or_infinity_are_left_out() -> None:
    points = gaussian(60, 3)
    spoilt = points.clone()
    spoilt[3, 1], spoilt[10, 0], spoilt[11, 2] = torch.nan, torch.inf, -torch.inf
    good = [i for i in range(60) if i not in (3, 10, 11)]
    with pytest.warns(UserWarning, match="3 of 60 points hold NaN or infinity"):
        neighbours = nearest_neighbours(spoilt, 5)
    assert neighbours.valid.nonzero().squeeze(-1).tolist() == good
    np.testing.assert_allclose(neighbours.distances[good].numpy(), brute_force(points[good], 5), rtol=1e-9)


@pytest.mark.parametrize(
    ("points", "got"),
    [
        (torch.arange(7.0)[:, None], 7),
        (torch.ones(100, 3), 1),
        (torch.empty(0, 3), 0),
        (torch.full((30, 2), torch.nan), 0),
    ],
)
def test_too_few_points_is_a_reason_and_no_exception(points: Tensor, got: int) -> None:
    reason = f"needs at least 21 distinct points for k = 20, got {got}"
    with pytest.warns(UserWarning, match=reason) as record:
        neighbours = nearest_neighbours(points, 20)
    assert len(record) == 1
    assert neighbours.reason == reason
    assert neighbours.distances.isnan().all()
    assert not neighbours.valid.any()


def test_only_the_replicate_with_too_few_points_fails() -> None:
    points = gaussian(3, 30, 2)
    points[1] = 1.0
    with pytest.warns(UserWarning, match="in 1 of 3 replicates"):
        neighbours = nearest_neighbours(points, 4)
    assert neighbours.valid.all(-1).tolist() == [True, False, True]


def test_columns_that_do_not_vary_are_not_counted() -> None:
    points = gaussian(2, 30, 3)
    points[0, :, 1:] = 0.0
    assert nearest_neighbours(points, 2).dims.tolist() == [1, 3]


def test_no_replicates() -> None:
    assert nearest_neighbours(torch.empty(0, 10, 2), 3).distances.shape == (0, 10, 3)


@pytest.mark.parametrize(
    ("points", "k", "message"),
    [
        (torch.rand(10), 2, "points must be"),
        (torch.rand(10, 0), 2, "points must be"),
        (torch.ones(10, 2, dtype=torch.complex64), 2, "must be real"),
        (torch.rand(10, 2), 0, "k must be at least 1"),
    ],
)
def test_wrong_arguments(points: Tensor, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nearest_neighbours(points, k)


@pytest.mark.parametrize("k", [2.5, 3.0, "3", None])
@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("k", nearest_neighbours),
        ("k", dimension.mle),
        ("k", dimension.mean_mle),
        ("k", dimension.tle),
        ("k", dimension.mada),
        ("k", dimension.method_of_moments),
        ("k", dimension.local_pca),
        ("n1", dimension.gride),
        ("n2", dimension.gride),
        ("k1", dimension.correlation_integral),
        ("range_max", dimension.gride_scales),
    ],
)
def test_a_number_of_neighbours_is_whole(name: str, function: Callable[..., object], k: object) -> None:
    if k is None and function in (dimension.local_pca, dimension.gride) and name != "n1":
        pytest.skip("None is a setting")
    with pytest.raises(ValueError, match=f"^{name} must be a whole number, got {k!r}$"):
        function(torch.rand(30, 3), **{name: k})
    assert nearest_neighbours(torch.rand(30, 3), np.int64(3)).k == 3


@pytest.mark.filterwarnings("ignore:.*(duplicates|distinct)")
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-1e300, 1e300, allow_subnormal=True)] * 2), min_size=1, max_size=14))
@example([(1.0, 0.0), (0.0, 0.0), (0.0, 1e-170), (0.0, 2e-170)])
@example([(0.0, 0.0), (5e-324, 0.0), (0.0, 5e-324)])
@example([(1e308, 0.0), (-1e308, 0.0), (0.0, 1e308)])
def test_any_finite_points(rows: list[tuple[float, float]]) -> None:
    neighbours = nearest_neighbours(torch.tensor(rows, dtype=torch.float64), 2)
    if neighbours.valid.any():
        assert (neighbours.distances[neighbours.valid][:, 0] > 0).all()
        assert (neighbours.distances[neighbours.valid].diff(dim=-1) >= 0).all()
    else:
        assert neighbours.reason is not None


def test_points_whose_distance_vanishes_in_float64_are_one() -> None:
    points = torch.tensor([[1, 0], [0, 1], [0, 0], [0, 1e-170], [0.5, 0.5]], dtype=torch.float64)
    with pytest.warns(UserWarning, match="1 of 5 points are exact duplicates"):
        neighbours = nearest_neighbours(points, 2)
    assert neighbours.valid.tolist() == [True, True, True, False, True]


@pytest.mark.parametrize("estimator", [mle, tle, mada, local_pca, method_of_moments])
def test_neighbours_far_beyond_the_points_are_refused_before_memory_is_filled(estimator) -> None:
    for k in (10**6, 10**9):
        with pytest.raises(ValueError, match=f"^k must be below the number of points, 300, got {k:,}$"):
            estimator(torch.zeros(300, 5), k=k)
    with pytest.raises(ValueError, match=r"^k must be below the number of points, 300, got 200,000,000$"):
        gride(torch.zeros(300, 5), n1=10**8, n2=2 * 10**8)
