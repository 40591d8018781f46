"""Test Gride against scikit-dimension, its curve over scales, its standard error, ties and bad input."""

import numpy as np
import pytest
import skdim
import torch

from helpers.given_distances import given_distances
from helpers.manifolds import MANIFOLDS, gaussian, manifold
from intrinsic_clip.dimension import gride, gride_scales, nearest_neighbours


@pytest.mark.slow
@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize("name", MANIFOLDS)
def test_equals_scikit_dimension(name: str, n: int) -> None:
    points = manifold(name, n)
    neighbours = nearest_neighbours(torch.from_numpy(points), 32)
    for n1, n2 in [(1, None), (2, None), (1, 5), (3, 4), (16, 32)]:
        reference = skdim.id.GRIDE(n1, n2).fit(points)
        estimate = gride(neighbours, n1, n2)
        assert estimate.value.item() == pytest.approx(reference.dimension_, rel=1e-6)
        assert estimate.standard_error.item() == pytest.approx(reference.error_, rel=1e-6)
        assert (estimate.k, estimate.pointwise, estimate.reason) == (n2 or 2 * n1, None, None)


@pytest.mark.parametrize("name", ["sphere", "tanh_44", "gaussian_200"])
def test_scales_equal_scikit_dimension(name: str) -> None:
    points = manifold(name, 600)
    reference = skdim.id.GRIDE(multiscale=True).fit(points)
    curve = gride_scales(torch.from_numpy(points))
    assert curve.at == tuple(reference.scales_)
    np.testing.assert_allclose(curve.value, reference.dimension_scales_, rtol=1e-9)
    np.testing.assert_allclose(curve.standard_error, reference.error_scales_, rtol=1e-9)
    np.testing.assert_allclose(curve.radius, reference.radius_scales_, rtol=1e-9)
    assert (curve.n, curve.reason) == (600, None)


@pytest.mark.parametrize(("n1", "n2"), [(1, 2), (1, 8), (2, 4), (16, 32)])
@pytest.mark.parametrize("d", [0.01, 5.0, 2000.0])
def test_finds_the_root_for_any_dimension(n1: int, n2: int, d: float) -> None:
    gaps = -gaussian(2, 300, n2, seed=1).sigmoid().log()  # of no particular law
    distances = (gaps.cumsum(-1).log() / d).exp()
    log_ratios = (distances[..., n2 - 1] / distances[..., n1 - 1]).log()
    value = gride(given_distances(distances), n1, n2).value
    kept = log_ratios.clone()
    ratios = kept.exp()
    for row, ratio in zip(kept, ratios, strict=True):
        q50, q95 = np.percentile(ratio, [50, 95])
        row[ratio > q50 + 20 * (q95 - q50)] = torch.nan
    count = (~kept.isnan()).sum(-1)
    growth = (kept / -torch.expm1(-value[:, None] * kept)).nansum(-1)
    score = (count - 1) / value + (n2 - n1 - 1) * growth - (n2 - 1) * kept.nansum(-1)
    assert (score.abs() * value / count < 1e-10).all()


@pytest.mark.parametrize(("n1", "n2"), [(1, 2), (2, 4), (4, 8)])
def test_standard_error_of_independent_ratios(n1: int, n2: int) -> None:
    generator = torch.Generator().manual_seed(0)
    gaps = -torch.rand(1000, 300, n2, generator=generator, dtype=torch.float64).log()
    estimate = gride(given_distances(gaps.cumsum(-1) ** (1 / 4)), n1, n2)  # a Poisson process in 4 dimensions
    assert estimate.value.mean() == pytest.approx(4, rel=0.01)
    assert estimate.value.std() == pytest.approx(estimate.standard_error.mean().item(), rel=0.08)


def test_ties_are_left_out_and_equal_ratios_have_an_estimate() -> None:
    distances = torch.ones(1, 50, 2, dtype=torch.float64)
    distances[0, :40, 1] = 2**0.5
    estimate = gride(given_distances(distances))
    assert estimate.value.item() == pytest.approx(39 / 40 * 2 / np.log(2))


def test_scales_end_where_a_replicate_has_no_more_points() -> None:
    points = gaussian(2, 2, 40, 3)
    points[0, 1, 20:] = points[0, 1, :20]
    points[1, 0] = 1.0
    with pytest.warns(UserWarning, match="duplicates"):
        curve = gride_scales(points)
    assert curve.at == (1, 2, 4, 8, 16)
    assert curve.value.isfinite().sum(-1).tolist() == [[5, 4], [0, 5]]
    alone = gride_scales(points[0, 1, :20])
    for field in ("value", "standard_error", "radius"):
        torch.testing.assert_close(getattr(curve, field)[0, 1, :4], getattr(alone, field))
    assert "needs at least" in curve.reason
    with pytest.warns(UserWarning, match="duplicates"):
        by_itself = gride_scales(points[0, 1])
    assert by_itself.at == curve.at
    torch.testing.assert_close(by_itself.value, curve.value[0, 1], equal_nan=True)


def test_scales_of_given_neighbours() -> None:
    neighbours = nearest_neighbours(gaussian(3, 100, 4), 20)
    curve = gride_scales(neighbours)
    assert curve.at == (1, 2, 4, 8)
    torch.testing.assert_close(curve.value[:, 1], gride(neighbours, 2).value)
    assert gride_scales(neighbours, range_max=5).at == (1, 2)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_scales_of_hardly_any_points(n: int) -> None:
    with pytest.warns(UserWarning, match="distinct"):
        curve = gride_scales(gaussian(n, 3))
    assert curve.at == (1,)
    assert curve.value.isnan().all()


@pytest.mark.parametrize(("n1", "n2"), [(0, 2), (2, 2), (3, 1)])
def test_wrong_arguments(n1: int, n2: int) -> None:
    with pytest.raises(ValueError, match=r"n[12] must be at least [13]|n2 must be at least 4"):
        gride(gaussian(50, 2), n1, n2)


def test_wrong_range() -> None:
    with pytest.raises(ValueError, match="range_max must be at least 2"):
        gride_scales(gaussian(50, 2), range_max=1)
    with pytest.raises(ValueError, match="needs 4 neighbours of each point, got 3"):
        gride(nearest_neighbours(gaussian(50, 2), 3), 2)
