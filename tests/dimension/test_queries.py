"""Some points that ask for their neighbours among all, against every point that does."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers.manifolds import MANIFOLDS, gaussian, manifold
from intrinsic_clip.dimension import (
    Neighbours,
    correlation_integral,
    gride,
    local_pca,
    mada,
    mean_mle,
    method_of_moments,
    mle,
    nearest_neighbours,
    queries,
    spanning_tree,
    tle,
    twonn,
)
from intrinsic_clip.dimension.query_search import Nearest, ask
from intrinsic_clip.dimension.row_source import TensorRows
from intrinsic_clip.dimension.row_survey import survey
from intrinsic_clip.measurement import measure_embeddings
from intrinsic_clip.metrics import partner_ranks

ESTIMATORS = (mle, mean_mle, twonn, gride, tle, mada)


def asking(full: Neighbours, rows: Tensor) -> Neighbours:
    """Return the neighbours of some rows as if only they had been asked."""
    kept = full.distances[rows], full.indices[rows], full.valid[rows]
    return Neighbours(
        full.points, *kept, full.n, full.k, full.dims, queries=rows, searched=full.valid.sum(-1)
    )


@pytest.mark.parametrize("name", MANIFOLDS)
def test_estimates_scatter_about_the_full_ones_as_their_query_errors_say(name) -> None:
    full = nearest_neighbours(torch.from_numpy(manifold(name, 700)), 12)
    draws = [torch.randperm(700, generator=torch.Generator().manual_seed(seed))[:150] for seed in range(12)]
    for estimator in ESTIMATORS:
        options = {} if estimator in (twonn, gride) else {"k": 12}
        expected = estimator(full, **options).value
        estimates = [estimator(asking(full, rows), **options) for rows in draws]
        scores = torch.stack([(e.value - expected) / e.query_error for e in estimates])
        assert abs(float(scores.mean())) < 4 / math.sqrt(12), estimator.__name__
        assert 0.2 < float(scores.square().mean()) < 3, estimator.__name__
        assert float((scores.abs() < 2).double().mean()) > 0.7, estimator.__name__


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("noise", [0.0, 1e-3, 0.1])
@pytest.mark.parametrize("constant", [0, 2], ids=["all vary", "two constant columns"])
def test_the_small_variances_of_half_precision_rows_are_those_of_float64(dtype, noise, constant) -> None:
    """Rows that lie in 4 of 96 dimensions, but for rounding: their effective rank counts the roots of variances."""
    rows = gaussian(4000, 4) @ gaussian(4, 96, seed=1) + noise * gaussian(4000, 96, seed=2)
    rows[:, :constant] = 3
    rows[7, 5] = math.nan
    half = rows.to(dtype)
    exact = half.double()[half.isfinite().all(1)]
    facts = survey(TensorRows(half), moments=True)
    ranks = []
    for covariance in (facts.moments, torch.cov(exact.mT, correction=0)):
        shares = torch.linalg.eigvalsh(covariance).clamp_min(0).sqrt()
        shares = shares[shares > 0] / shares.sum()
        ranks.append(float((-shares * shares.log()).sum().exp()))
    assert ranks[0] == pytest.approx(ranks[1], rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_search_for_some_finds_what_a_search_for_all_does(dtype, threads) -> None:
    points = (gaussian(1500, 5) @ gaussian(5, 30, seed=1)).tanh().to(dtype)
    points[3] = points[70]
    points[500:520] = points[9]
    points[40, 2] = math.nan
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with pytest.warns(
            UserWarning, match="21 of 1500 points are exact duplicates.*1 of 1500 points hold NaN"
        ):
            some = nearest_neighbours(points, 10, queries=400, seed=3)
    finally:
        torch.set_num_threads(before)
    with pytest.warns(UserWarning, match="21 of 1500"):
        full = nearest_neighbours(points, 10)
    assert some.valid.all()
    assert full.valid[some.queries].all()
    assert torch.equal(some.distances, full.distances[some.queries])
    assert torch.equal(some.indices, full.indices[some.queries])
    assert (some.n, some.asked, int(some.searched)) == (1500, 400, 1478)


@pytest.mark.parametrize(
    ("dtype", "largest"),
    [(torch.float32, 1.8e38), (torch.float32, 3.3e38), (torch.bfloat16, 3.3e38), (torch.float64, 5e307)],
)
@pytest.mark.parametrize("to_one_side", [False, True])
def test_a_search_for_some_reaches_to_the_largest_numbers(dtype, largest: float, to_one_side: bool) -> None:
    points = gaussian(1200, 6)
    if to_one_side:  # differences from the mean are larger than the largest number
        points[:, 0] = torch.where(torch.arange(1200) < 200, 1.0, -1.0) * points.abs().max()
    points = (points * (largest / points.abs().max())).to(dtype)
    full, some = nearest_neighbours(points, 8), nearest_neighbours(points, 8, queries=200)
    assert torch.allclose(some.distances, full.distances[some.queries], rtol=1e-12, atol=0)


@pytest.mark.parametrize("estimator", [mle, mean_mle, gride])
def test_the_error_of_the_estimate_holds_that_of_asking(estimator) -> None:
    """Half of the rows lie in two dimensions, so that formulas for points of one dimension are too small."""
    points = gaussian(800, 12, seed=6)
    points[::2, 2:] = 0.0
    points[::2] += 6.0
    full = nearest_neighbours(points, 20)
    draws = [torch.randperm(800, generator=torch.Generator().manual_seed(seed))[:200] for seed in range(60)]
    estimates = [estimator(asking(full, rows)) for rows in draws]
    assert all(estimate.standard_error >= estimate.query_error for estimate in estimates)
    spread = torch.stack([estimate.value for estimate in estimates]).std()
    assert float(torch.stack([estimate.standard_error for estimate in estimates]).mean() / spread) > 0.7


def test_asking_all_is_the_full_search() -> None:
    points = gaussian(300, 4)
    for estimator in (*ESTIMATORS, method_of_moments, local_pca):
        every, full = estimator(points, queries=300), estimator(points)
        assert torch.allclose(every.value, full.value, rtol=1e-14)
        assert every.asked is None
        assert every.query_error is None


def test_the_same_seed_asks_the_same_points() -> None:
    points = gaussian(800, 4)
    one, same, other = (mle(points, queries=100, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.pointwise, same.pointwise)
    assert not torch.equal(one.pointwise, other.pointwise)
    assert one.pointwise.shape == (100,)
    assert repr(one).startswith("mle: ")
    assert "n = 800, 100 asked, k = 20" in repr(one)


def test_replicates_and_positions() -> None:
    points = torch.stack([gaussian(400, 4), gaussian(400, 4, seed=1)])
    both = tle(points, queries=80, k=10)
    for r in range(2):
        alone = tle(points[r], queries=80, k=10)
        assert torch.allclose(both.value[r], alone.value)
        assert torch.allclose(both.query_error[r], alone.query_error)
    assert torch.allclose(local_pca(points, k=20, queries=50).value, local_pca(points, k=20).value, atol=0.3)


@pytest.mark.parametrize("estimator", [tle, local_pca], ids=lambda function: function.__name__)
@pytest.mark.parametrize("missing", [False, True], ids=["all finite", "a row of infinity"])
def test_columns_that_are_zero_in_all_rows_asked_count_in_their_neighbours(estimator, missing) -> None:
    """Most columns of sparse rows are zero in all of a hundred rows, and not in the neighbours of each."""
    draws = torch.rand(1500, 300, generator=torch.Generator().manual_seed(0))
    points = gaussian(1500, 300).float() * (draws < 0.005)
    points[:, :3] += gaussian(1500, 3, seed=1)
    if missing:
        points[7] = math.inf
    some = nearest_neighbours(points, 20, queries=60)
    estimate, full = estimator(some, k=20), estimator(nearest_neighbours(points, 20), k=20)
    assert torch.allclose(estimate.pointwise, full.pointwise[some.queries])
    alone = asking_alone(some)
    assert torch.allclose(estimator(alone, k=20).pointwise, estimate.pointwise)


def asking_alone(some: Neighbours) -> Neighbours:
    """Return the same neighbours with the positions of those points alone that were asked or are neighbours."""
    rows, place = torch.unique(torch.cat([some.queries[:, None], some.indices], 1), return_inverse=True)
    return replace(some, points=some.points[rows], queries=place[:, 0], indices=place[:, 1:])


@pytest.mark.parametrize("criterion", ["Fan", "maxgap", "Kaiser", "broken_stick"])
def test_criteria_that_count_columns_can_ask_some_of_the_points(criterion) -> None:
    points = torch.stack([gaussian(500, 5), gaussian(500, 5, seed=1)])
    some = nearest_neighbours(points, 30, queries=80)
    estimate = local_pca(some, 30, criterion)
    full = local_pca(points, 30, criterion).pointwise
    assert torch.equal(estimate.pointwise, full.gather(1, some.queries))
    with pytest.warns(UserWarning, match="the points lie in 5 of 16 dimensions"):
        local_pca(points @ torch.eye(5, 16).to(points), 30, criterion, queries=80)


def test_too_few_points_and_one_column() -> None:
    with pytest.warns(UserWarning, match="needs at least 21 distinct points for k = 20, got 10"):
        few = mle(torch.cat([gaussian(10, 3)] * 20), queries=50)
    assert math.isnan(few.value)
    assert "needs at least 21" in few.reason
    line = mle(torch.arange(500.0)[:, None], queries=50)
    assert (float(line.value), float(line.query_error)) == (1.0, 0.0)


def test_as_many_are_asked_as_the_precision_takes(monkeypatch) -> None:
    points = gaussian(3000, 6)
    assert mle(points, queries="auto").asked is None  # not many enough
    monkeypatch.setattr(queries, "FROM_ROWS", 1000)
    monkeypatch.setattr(queries, "PILOT", 200)
    monkeypatch.setattr(queries, "PRECISION", 0.01)
    estimate = mle(points, queries="auto")
    assert 200 < estimate.asked < 1000
    assert float(estimate.query_error / estimate.value) < 0.01
    assert twonn(points, queries="auto").asked > 2 * estimate.asked


@pytest.mark.parametrize("wrong", [0, 1, -5, 2.5, "many", True])
def test_wrong_numbers_of_queries_are_named(wrong) -> None:
    with pytest.raises(ValueError, match=r'queries must be a number from 2, "auto", "all" or None'):
        mle(gaussian(100, 3), queries=wrong)


def test_numbers_of_numpy_are_numbers_of_queries() -> None:
    points = gaussian(300, 3)
    estimate = mle(points, queries=np.int64(50))
    assert estimate.asked == 50
    assert torch.equal(estimate.value, mle(points, queries=50).value)
    assert len(partner_ranks(points, points, queries=np.int64(50)).x_to_y.greater) == 50
    pairs = measure_embeddings(points, estimators=["mle"], queries=np.int64(50))
    assert next(row for row in pairs["estimates"] if row["name"] == "id/mle")["asked"] == 50


@pytest.mark.parametrize("asked", [10, "auto"])
def test_no_replicates_have_no_estimates(asked) -> None:
    assert mle(torch.zeros(0, 60, 3), queries=asked).value.shape == (0,)


def test_what_needs_every_point_says_so() -> None:
    some = nearest_neighbours(gaussian(200, 3), 20, queries=50)
    for estimator in (correlation_integral, spanning_tree):
        with pytest.raises(
            ValueError, match="needs the neighbours of every point, and only 50 of 200 were asked"
        ):
            estimator(some)
    with pytest.raises(ValueError, match="queries belong to the search"):
        mle(some, queries=20)


def search(points: Tensor, k: int, q: int, axes: bool = False) -> Nearest:
    """Ask the first q points."""
    facts = survey(TensorRows(points), moments=axes)
    given = (torch.linalg.eigh(facts.moments).eigenvectors.flip(1), points[::3]) if axes else None
    question = Nearest(points[:q], torch.arange(q), facts, k, axes=given)
    ask(TensorRows(points), [question])
    question.settle()
    return question


def test_a_few_coordinates_rule_rows_out_without_a_change() -> None:
    points = (
        (gaussian(4000, 6) @ gaussian(6, 160, seed=1)).tanh() + 0.01 * gaussian(4000, 160, seed=2)
    ).half()
    with_axes, without = search(points, 10, 500, axes=True), search(points, 10, 500)
    assert with_axes.reduction is not None
    assert torch.equal(with_axes.distances, without.distances)
    assert torch.equal(with_axes.indices, without.indices)


def test_clusters_that_single_precision_cannot_resolve() -> None:
    centres = gaussian(5, 8)[torch.arange(2000) % 5]
    points = 1e3 * centres + 1e-4 * gaussian(2000, 8, seed=1)
    found = search(points, 8, 100)
    full = nearest_neighbours(points, 8)
    assert torch.allclose(found.distances, full.distances[:100], rtol=1e-12)
    assert torch.equal(found.indices, full.indices[:100])


def test_a_survey_adds_up_what_the_rows_hold() -> None:
    points = gaussian(3000, 300) + 7
    points[5, 5] = math.inf
    points[8] = points[2]
    points[11] = 0.0
    copy = points.clone()
    facts = survey(TensorRows(points), moments=True)
    assert torch.equal(points, copy)
    rows = points[facts.finite]
    assert (int((~facts.finite).sum()), int(facts.distinct.sum()), int(facts.zero.sum())) == (1, 2998, 1)
    assert torch.allclose(facts.mean, rows.mean(0))
    assert torch.allclose(facts.moments, torch.cov(rows.T, correction=0), atol=1e-12)
    assert facts.radius >= float((rows - rows.mean(0)).norm(dim=1).max())
    assert np.isclose(facts.largest, float(rows.abs().max()))
    assert int(facts.first[8]) == 2
    left_out = survey(TensorRows(points), usable=torch.arange(3000) != 2)
    assert bool(left_out.distinct[8])


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-12), ("float16", 1e-6), ("bfloat16", 1e-6)])
def test_a_survey_has_the_covariance_of_rows_far_from_the_origin(dtype: str, rtol: float) -> None:
    rows = (3 + gaussian(7000, 200, seed=5)).to(getattr(torch, dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        facts = survey(TensorRows(rows), moments=True)
    expected = torch.from_numpy(np.cov(rows.double().numpy().T, bias=True))
    torch.testing.assert_close(facts.moments, expected, rtol=0, atol=rtol * float(expected.diagonal().max()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_a_survey_tells_rows_of_zeros_missing_and_huge_ones(dtype: torch.dtype) -> None:
    rows = gaussian(40, 3).to(dtype)
    rows[4], rows[5], rows[6] = 0.0, -0.0, math.nan
    rows[7, 1] = torch.finfo(dtype).max  # its square does not fit
    rows[8, 2] = -math.inf
    facts = survey(TensorRows(rows))
    assert facts.zero.nonzero().flatten().tolist() == [4, 5]
    assert (~facts.finite).nonzero().flatten().tolist() == [6, 8]
    assert (~facts.distinct).nonzero().flatten().tolist() == [5, 6, 8]
    assert facts.largest == torch.finfo(dtype).max
