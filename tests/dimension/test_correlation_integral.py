"""Test the correlation dimension against scikit-dimension, and its error, bounds of memory and bad input."""

import numpy as np
import pytest
import skdim
import torch
from scipy.spatial.distance import pdist
from torch import Tensor

from helpers.manifolds import MANIFOLDS, gaussian, manifold
from intrinsic_clip.dimension import correlation_integral, nearest_neighbours


def by_hand(points: Tensor, k1: int, k2: int) -> float:
    """Estimate by the definition: all distances from differences, pairs at a radius not counted."""
    distances = nearest_neighbours(points, k2).distances.numpy()
    r1, r2 = np.median(distances[:, k1 - 1]), np.median(distances[:, k2 - 1])
    pairs = pdist(points.double().numpy())
    count1, count2 = ((pairs < r * (1 - 1e-12)).sum() for r in (r1, r2))
    return np.log(count2 / count1) / np.log(r2 / r1)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [200, 2000])  # even: of an odd number of distances one is the median
@pytest.mark.parametrize("name", MANIFOLDS)
def test_equals_scikit_dimension(name: str, n: int, dtype: torch.dtype) -> None:
    points = torch.from_numpy(manifold(name, n)).to(dtype)
    reference = skdim.id.CorrInt().fit(points.double().numpy()).dimension_
    estimate = correlation_integral(points)
    assert estimate.value.item() == pytest.approx(reference, rel=1e-9)
    assert (estimate.n, estimate.k, estimate.pointwise, estimate.reason) == (n, 20, None, None)


@pytest.mark.parametrize(("k1", "k2"), [(1, 2), (5, 50), (40, 41)])
def test_options_equal_scikit_dimension(k1: int, k2: int) -> None:
    points = gaussian(300, 4)
    reference = skdim.id.CorrInt(k1, k2).fit(points.numpy()).dimension_
    assert correlation_integral(points, k1, k2).value.item() == pytest.approx(reference, rel=1e-9)


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(gaussian(301, 4), id="odd number"),
        pytest.param((1e4 + gaussian(401, 6)).float(), id="far, float32"),
        pytest.param(
            gaussian(401, 6) * 1e-3 + 1e4 * gaussian(4, 6).repeat(101, 1)[:401], id="tight clusters"
        ),
        pytest.param(torch.cat([gaussian(400, 6), torch.full((1, 6), 1e9).double()]), id="one outlier"),
        pytest.param(torch.cartesian_prod(*[torch.arange(7.0)] * 3) + 1000, id="grid"),
    ],
)
def test_counts_exactly_where_products_cannot(points: Tensor) -> None:
    assert correlation_integral(points).value.item() == pytest.approx(by_hand(points, 10, 20), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1e150])
def test_squares_that_vanish_or_overflow(scale: float) -> None:
    points = gaussian(200, 3)
    torch.testing.assert_close(correlation_integral(points * scale).value, correlation_integral(points).value)


def test_blocks_do_not_change_the_result() -> None:
    points = gaussian(2, 301, 7)
    whole = correlation_integral(points)
    for block_bytes in (1, 100_000):
        in_blocks = correlation_integral(points, block_bytes=block_bytes)
        torch.testing.assert_close(in_blocks.value, whole.value)
        torch.testing.assert_close(in_blocks.standard_error, whole.standard_error)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "d", "k1", "k2"), [(200, 2, 10, 20), (400, 5, 10, 20), (200, 3, 2, 5)])
def test_standard_error_is_the_spread(n: int, d: int, k1: int, k2: int) -> None:
    estimate = correlation_integral(gaussian(300, n, d), k1, k2)
    assert estimate.value.std() == pytest.approx(estimate.standard_error.mean().item(), rel=0.15)


def test_no_pair_within_the_radius_has_a_reason() -> None:
    with pytest.warns(UserWarning, match="the two radii are equal"):
        estimate = correlation_integral(torch.eye(30))
    assert estimate.value.isnan()
    assert "the two radii are equal" in estimate.reason


@pytest.mark.parametrize(("k1", "k2"), [(0, 2), (2, 2), (3, 1)])
def test_wrong_arguments(k1: int, k2: int) -> None:
    with pytest.raises(ValueError, match=r"k[12] must be at least [13]|k2 must be at least 4"):
        correlation_integral(gaussian(50, 2), k1, k2)
