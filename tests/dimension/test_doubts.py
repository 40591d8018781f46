"""Reasons to doubt numbers that look right, and none for numbers that are right."""

import math

import pytest
import torch
from torch import Tensor

from helpers.manifolds import gaussian
from intrinsic_clip.dimension import (
    local_pca,
    mada,
    mean_mle,
    mle,
    nearest_neighbours,
    registered,
    tle,
    twonn,
)
from intrinsic_clip.dimension.doubts import (
    doubted_distances,
    grouped,
    near_duplicates,
    reach,
    rounded,
    tied,
    too_few_rows,
)


def embedded(n: int, m: int, d: int = 32) -> Tensor:
    """Return n float32 points of m dimensions in d columns."""
    return (gaussian(n, m) @ gaussian(m, d, seed=1)).float()


def estimates(points: Tensor) -> dict[str, tuple[float, int, int]]:
    neighbours = nearest_neighbours(points, 20)
    n = len(points)
    return {"MLE": (float(mle(neighbours).value), n, 20), "TwoNN": (float(twonn(neighbours).value), n, 2)}


@pytest.mark.parametrize(("n", "m"), [(2000, 5), (1000, 3), (2000, 10), (400, 2)])
def test_good_samples_are_not_doubted(n: int, m: int) -> None:
    points = embedded(n, m)
    assert too_few_rows(estimates(points)) is None
    assert doubted_distances(points, nearest_neighbours(points, 20)) is None


@pytest.mark.parametrize(("n", "d"), [(64, 512), (100, 40), (1000, 100)])
def test_too_few_rows_for_the_dimension(n: int, d: int) -> None:
    found = estimates(gaussian(n, d))
    assert found["MLE"][0] < 0.6 * d
    doubt = too_few_rows(found)
    assert doubt is not None
    assert doubt.startswith(f"{n:,} rows are too few for MLE {found['MLE'][0]:.3g}")
    assert "lower bounds" in doubt
    assert "± is sampling noise only" in doubt


def test_the_rule_says_how_many_rows_would_do() -> None:
    assert reach(5, 10_000, 20) == pytest.approx((20 / 10_000) ** 0.2)
    assert "at least 20,000 rows would be needed" in str(too_few_rows({"MLE": (16.0, 1000, 20)}))
    assert "more rows than anyone has" in str(too_few_rows({"MLE": (100.0, 64, 20)}))
    assert too_few_rows({"MLE": (5.0, 10_000, 20), "TwoNN": (math.nan, 10_000, 2)}) is None
    assert reach(0.5, 10, 20) == 1.0


def copies_with_noise() -> Tensor:
    """Return 700 rows, 500 of them again with the noise of rounding."""
    points = gaussian(700, 4) @ gaussian(4, 16, seed=1)
    return torch.cat([points, points[:500] + 1e-8 * gaussian(500, 16, seed=2)])


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(copies_with_noise(), id="most rows twice"),
        pytest.param(embedded(300, 4).repeat_interleave(5, 0) + 1e-6 * gaussian(1500, 32), id="five of each"),
        pytest.param(torch.cat([embedded(900, 4), embedded(20, 4) * (1 + 1e-6)]).float(), id="few of many"),
    ],
)
def test_near_duplicates_are_told_apart_from_neighbours(points: Tensor) -> None:
    neighbours = nearest_neighbours(points, 20)
    doubt = doubted_distances(points, neighbours)
    assert doubt is not None
    assert "rows are near-duplicates" in doubt
    assert doubt == near_duplicates(neighbours)


def test_thousands_of_near_duplicates_are_behind_a_tiny_twonn() -> None:
    points = copies_with_noise()
    assert float(twonn(points).value) < 0.2
    assert near_duplicates(nearest_neighbours(points, 2)) is not None


def test_clusters_and_a_few_close_pairs_are_no_near_duplicates() -> None:
    clusters = gaussian(600, 4) + 100 * gaussian(6, 4, seed=1).repeat(100, 1)
    assert near_duplicates(nearest_neighbours(clusters, 20)) is None
    points = gaussian(1000, 4)
    points[1] = points[0] + 1e-9
    assert near_duplicates(nearest_neighbours(points, 20)) is None


@pytest.mark.parametrize("n", [60, 300, 1000])
def test_neighbours_along_a_curve_come_close_by_chance(n: int) -> None:
    doubted = 0
    for seed in range(40):
        angles = (
            2 * math.pi * torch.rand(n, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        )
        circle = torch.cat([angles.cos(), angles.sin()], 1)
        doubted += near_duplicates(nearest_neighbours(circle, 20)) is not None
        copies = torch.cat([circle, circle[: max(3, n // 100)] * (1 + 1e-8)])
        assert near_duplicates(nearest_neighbours(copies, 20)) is not None
    assert doubted <= 2


@pytest.mark.parametrize(
    ("points", "kind"),
    [
        pytest.param((embedded(1000, 2, 4) * 10).round() / 10, "rounded to 1 decimal,", id="1 decimal"),
        pytest.param(
            torch.nn.functional.normalize(1 + 0.01 * embedded(600, 3), dim=1).bfloat16().float(),
            "rounded to bfloat16",
            id="bfloat16 in a cone",
        ),
        pytest.param((embedded(2000, 2, 40) + 3e5).float(), "rounded to float32", id="float32 far away"),
        pytest.param((20 * embedded(2000, 2, 3)).round(), "whole numbers", id="int8"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*duplicates")
def test_rounding_as_large_as_distances(points: Tensor, kind: str) -> None:
    doubt = doubted_distances(points, nearest_neighbours(points, 20))
    assert doubt is not None
    assert kind in doubt or (kind == "whole numbers" and "exactly equal distances" in doubt)


@pytest.mark.parametrize("rounding", [lambda x: (x * 100).round() / 100, lambda x: x.bfloat16().float()])
def test_rounding_that_does_not_matter(rounding) -> None:
    points = rounding(embedded(1000, 5))
    assert rounded(points, nearest_neighbours(points, 20)) is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_large_constant_column_moves_no_row(dtype: torch.dtype) -> None:
    points = torch.cat([embedded(1000, 5), torch.full((1000, 1), 2.0**30)], 1).to(dtype)
    assert rounded(points, nearest_neighbours(points, 20)) is None


@pytest.mark.filterwarnings("ignore:.*duplicates")
def test_codes_and_counts_are_tied() -> None:
    for points in ((gaussian(500, 40) > 0).float(), torch.poisson(torch.ones(500, 20).exp())):
        neighbours = nearest_neighbours(points, 20)
        assert tied(neighbours) is not None
        assert doubted_distances(points, neighbours) == tied(neighbours)
    assert tied(nearest_neighbours(gaussian(500, 40), 20)) is None


@pytest.mark.parametrize("size", [2, 3, 5, 10])
def test_rows_in_small_groups(size: int) -> None:
    points = gaussian(150, 8).repeat_interleave(size, 0)
    points = points + 0.1 * gaussian(150 * size, 8, seed=1)
    neighbours = nearest_neighbours(points, 20)
    assert float(mle(neighbours).value) < 5  # of 8 dimensions
    assert str(doubted_distances(points, neighbours)).startswith(f"rows come in groups of {size}: the next")


@pytest.mark.parametrize(("single", "groups", "size"), [(1480, 1, 20), (360, 40, 5)])
def test_where_few_rows_come_in_groups_the_doubt_counts_them(single: int, groups: int, size: int) -> None:
    centres = gaussian(single + groups, 5)
    near = centres[single:].repeat_interleave(size, 0) + 0.001 * gaussian(groups * size, 5, seed=1)
    doubt = str(grouped(nearest_neighbours(torch.cat([centres[:single], near]), 20)))
    counted, _, rest = doubt.partition(f" of {single + groups * size:,} rows come in groups of {size}: ")
    assert abs(int(counted) - groups * size) <= 5
    assert float(rest.split("typically ")[1].split()[0]) > 3  # times farther


@pytest.mark.parametrize(("n", "d"), [(2000, 2), (500, 2), (500, 20)])
def test_no_groups(n: int, d: int) -> None:
    assert grouped(nearest_neighbours(gaussian(n, d), 20)) is None
    assert grouped(nearest_neighbours(gaussian(n, d).sign() * 50 + gaussian(n, d, seed=1), 20)) is None


@pytest.mark.parametrize(("scale", "offset"), [(1e-20, 0), (1e-9, 0), (1e-3, 1e4), (1e20, 0)])
def test_the_scale_and_place_of_the_points_raise_no_doubt(scale: float, offset: float) -> None:
    points = embedded(500, 3, 12).double() * scale + offset
    assert doubted_distances(points, nearest_neighbours(points, 20)) is None


def on_sphere(n: int, m: int) -> Tensor:
    """Return points of a sphere of m dimensions."""
    return torch.nn.functional.normalize(gaussian(n, m + 1), dim=1)


@pytest.mark.parametrize("estimator", [mle, mean_mle, tle, mada])
@pytest.mark.parametrize("sample", [gaussian, on_sphere])
def test_an_estimate_itself_says_that_rows_are_too_few(estimator, sample) -> None:
    estimate = estimator(sample(64, 10))
    assert float(estimate.value) < 8
    assert str(estimate.doubt).startswith("64 rows are too few for so many dimensions: a row's 20 nearest")
    assert str(estimate.doubt) in repr(estimate)
    assert str(estimate.doubt).partition(":")[0] in estimate._repr_html_()
    with pytest.warns(UserWarning, match=f"^{estimate.name}: 64 rows are too few"):
        float(estimate)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("m", [5, 10])
@pytest.mark.parametrize("sample", [gaussian, on_sphere])
def test_usual_samples_raise_no_doubt(m, sample) -> None:
    points = sample(1000, m)
    for name in ("mle", "mean_mle", "twonn", "gride", "correlation_integral", "mada", "tle", "local_pca"):
        estimate = registered()[name](points)
        assert estimate.doubt is None
        assert float(estimate) > 0
    assert twonn(sample(64, 10)).doubt is None  # 8.5 ± 1 are no gross fault


def test_local_pca_and_values_that_are_nan_are_not_doubted() -> None:
    assert local_pca(gaussian(128, 10)).doubt is None
    with pytest.warns(UserWarning, match="needs at least 21"):
        assert mle(gaussian(20, 10)).doubt is None
    replicates = torch.stack([gaussian(64, 10), gaussian(64, 1).expand(64, 10)])
    assert str(mle(replicates).doubt).startswith("64 rows are too few")
