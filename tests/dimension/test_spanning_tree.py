"""Test the spanning-tree estimator against scipy's trees, closed forms and uniform samples of known dimension."""

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import pdist, squareform

from helpers.manifolds import gaussian
from intrinsic_clip.dimension import spanning_tree
from intrinsic_clip.dimension.spanning_tree import tree_length


def uniform(kind: str, n: int, m: int, seed: int) -> torch.Tensor:
    """Sample a cube or a sphere of m dimensions uniformly."""
    generator = torch.Generator().manual_seed(seed)
    if kind == "cube":
        return torch.rand(n, m, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(gaussian(n, m + 1, seed=seed), dim=-1)


@pytest.mark.parametrize("power", [1.0, 0.5, 2.0])
def test_trees_are_those_of_scipy(power: float) -> None:
    points = gaussian(2, 3, 60, 5)
    lengths = tree_length(points, power)
    for index in np.ndindex(2, 3):
        edges = minimum_spanning_tree(squareform(pdist(points[index].numpy()))).data
        assert float(lengths[index]) == pytest.approx((edges**power).sum(), rel=1e-10)


def test_tree_on_a_line_reaches_from_end_to_end_and_on_a_grid_has_unit_edges() -> None:
    line = gaussian(100, 1)
    assert float(tree_length(line)) == pytest.approx(float(line.max() - line.min()))
    grid = torch.cartesian_prod(torch.arange(7.0), torch.arange(5.0)).double()
    assert float(tree_length(grid)) == pytest.approx(34)


@pytest.mark.parametrize(
    ("kind", "m", "low", "high"),
    [
        ("cube", 2, 1.85, 2.1), ("cube", 3, 2.7, 3.1), ("cube", 5, 4.2, 5.1), ("cube", 8, 6.0, 7.8),
        ("sphere", 2, 1.9, 2.25), ("sphere", 3, 2.75, 3.25), ("sphere", 5, 4.5, 5.5), ("sphere", 8, 6.8, 8.8),
    ],
)  # fmt: skip
def test_uniform_samples(kind: str, m: int, low: float, high: float) -> None:
    """Edges of the cube lower the value, the more so the more dimensions; a sphere has none."""
    points = torch.stack([uniform(kind, 400, m, seed) for seed in range(2)])
    assert low < float(spanning_tree(points).value.mean()) < high


def test_standard_error_is_the_spread() -> None:
    estimate = spanning_tree(torch.stack([uniform("cube", 100, 3, seed) for seed in range(20)]))
    ratio = float(estimate.standard_error.mean() / estimate.value.std())
    assert 0.6 < ratio < 1.7


@pytest.mark.parametrize(("spread", "m"), [(0.0, 12), (0.7, 6)])
def test_standard_error_knows_that_parts_share_their_points(spread: float, m: int) -> None:
    """Taking the sizes as independent made it 2.1 times the spread of Gaussian points, and 2.2 of log-normal ones."""
    points = gaussian(30, 96, m, seed=4)
    estimate = spanning_tree((spread * points).exp() if spread else points)
    assert 0.6 < float(estimate.standard_error.mean() / estimate.value.std()) < 1.5


def test_scale_rotation_and_power_do_not_change_the_dimension() -> None:
    points = gaussian(300, 3)
    value = float(spanning_tree(points).value)
    turned = 1e-6 * points @ torch.linalg.qr(gaussian(6, 6)).Q[:3]
    assert float(spanning_tree(turned).value) == pytest.approx(value, rel=1e-6)
    assert float(spanning_tree(points, power=0.5).value) == pytest.approx(value, abs=0.4)


def test_too_few_points_and_wrong_arguments() -> None:
    with pytest.warns(UserWarning, match="fewer than 10 distinct points"):
        estimate = spanning_tree(gaussian(9, 3))
    assert estimate.value.isnan()
    assert "fewer than 10" in str(estimate.reason)
    assert spanning_tree(gaussian(10, 3)).k is None
    with pytest.raises(ValueError, match="power must be larger than 0, got 0"):
        spanning_tree(gaussian(50, 2), power=0)
