"""Test TLE against scikit-dimension, its independence of units, ties and outliers."""

import numpy as np
import pytest
import skdim
import torch
from torch import Tensor

from helpers.manifolds import MANIFOLDS, gaussian, manifold
from intrinsic_clip.dimension import nearest_neighbours, tle

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in (divide|log):RuntimeWarning")


@pytest.mark.slow
@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize("name", [name for name in MANIFOLDS if name != "spiral"])
def test_equals_scikit_dimension(name: str, n: int) -> None:
    points = manifold(name, n)
    reference = skdim.id.TLE().fit(points)
    estimate = tle(torch.from_numpy(points))
    assert estimate.value.item() == pytest.approx(reference.dimension_, rel=1e-4)
    assert (estimate.n, estimate.k, estimate.reason) == (n, 20, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", MANIFOLDS)
def test_every_point_equals_scikit_dimension_when_nothing_is_dropped(name: str) -> None:
    points = manifold(name, 300)
    reference = skdim.id.TLE(epsilon=1e-12).fit(points)
    estimate = tle(torch.from_numpy(points), epsilon=1e-12)
    np.testing.assert_allclose(estimate.pointwise, reference.dimension_pw_, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("k", [2, 3, 7, 50])
@pytest.mark.parametrize("combine", ["mean", "median"])
def test_options_equal_scikit_dimension(k: int, combine: str) -> None:
    points = gaussian(200, 4)
    reference = skdim.id.TLE(epsilon=1e-12).fit(points.numpy(), n_neighbors=k, comb=combine).dimension_
    assert tle(points, k, 1e-12, combine).value.item() == pytest.approx(reference, rel=1e-9)


@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 0.5])
def test_epsilon_is_a_share_of_the_radius(epsilon: float) -> None:
    points = gaussian(100, 3)
    neighbours = nearest_neighbours(points, 12)
    estimate = tle(neighbours, k=12, epsilon=epsilon)
    for i in (0, 17, 60):
        radius = neighbours.distances[i, -1]
        around = (
            points[neighbours.indices[i]] - points[i]
        ) / radius  # scikit-dimension measures from the point
        reference = skdim.id.TLE(epsilon)._idtle(
            around.numpy(), neighbours.distances[i, None].numpy() / radius.item()
        )
        assert estimate.pointwise[i].item() == pytest.approx(reference, rel=1e-9)


def test_unit_does_not_matter() -> None:
    points = gaussian(200, 2)
    for unit in (1e-200, 1e-6, 1e5, 1e150):
        torch.testing.assert_close(tle(points * unit).value, tle(points).value)


def test_near_pairs_keep_their_digits() -> None:
    points = gaussian(30, 3).repeat_interleave(2, 0)
    points[1::2] += 1e-9 * gaussian(30, 3, seed=1)
    reference = skdim.id.TLE(epsilon=1e-12).fit(points.numpy(), n_neighbors=10)
    for block_bytes in (2**26, 1):
        estimate = tle(points, k=10, epsilon=1e-12, block_bytes=block_bytes)
        np.testing.assert_allclose(estimate.pointwise, reference.dimension_pw_, rtol=1e-6)


def test_blocks_do_not_change_the_result() -> None:
    points = gaussian(2, 150, 7)
    for block_bytes in (1, 300_000):
        torch.testing.assert_close(tle(points, block_bytes=block_bytes).pointwise, tle(points).pointwise)


def test_an_outlier_far_from_its_neighbours() -> None:
    points = torch.cat([gaussian(100, 3), torch.full((1, 3), 1e3).double()])
    reference = skdim.id.TLE(epsilon=1e-12).fit(points.numpy()).dimension_pw_
    np.testing.assert_allclose(tle(points, epsilon=1e-12).pointwise, reference, rtol=1e-6)


def test_a_point_whose_neighbours_are_equally_far_is_left_out() -> None:
    simplex = torch.cat([torch.zeros(1, 6), torch.eye(6), -torch.eye(6)]).double()
    points = torch.cat([gaussian(100, 6), 100 + simplex])
    neighbours = nearest_neighbours(points, 12)
    estimate = tle(neighbours, k=12)
    assert estimate.pointwise.isnan().nonzero().tolist() == [[100]]
    torch.testing.assert_close(estimate.value, estimate.pointwise.nanmean())


@pytest.mark.parametrize("points", [torch.eye(30), torch.linalg.qr(gaussian(30, 30))[0]])
def test_equidistant_points_have_a_reason(points: Tensor) -> None:
    with pytest.warns(UserWarning, match="equally far"):
        estimate = tle(points, k=5)
    assert estimate.value.isnan()
    assert "equally far" in estimate.reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 1}, "at least 2"),
        ({"combine": "mode"}, "combine must be"),
        ({"epsilon": -1.0}, "epsilon"),
        ({"epsilon": 1.0}, "epsilon"),
    ],
)
def test_wrong_arguments(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tle(gaussian(50, 2), **options)
