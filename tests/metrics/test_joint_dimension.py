"""Joint intrinsic dimensions on uniform views of few dimensions, and their correlation against its formula."""

import math

import pytest
import torch

from helpers.manifolds import gaussian
from intrinsic_clip.dimension import DimensionEstimate, Neighbours, mle, nearest_neighbours, twonn
from intrinsic_clip.metrics import dimension_correlation, joint_dimension, joint_neighbours


def uniform(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("estimator", [mle, twonn])
@pytest.mark.parametrize("k", [0, 1, 2])
def test_uniform_views_share_what_they_share(k: int, estimator) -> None:
    shared = uniform(3000, k)
    x, y = (torch.cat([shared, uniform(3000, 2 - k, seed)], 1) for seed in (1, 2))
    dimension = joint_dimension(joint_neighbours(x, y, 20), estimator)
    assert dimension.shared.item() == pytest.approx(k, abs=0.35)
    assert dimension.correlation.item() == pytest.approx(k / 2, abs=0.2)


def test_the_scale_of_a_view_does_not_matter() -> None:
    """Two views with 100 times the scale of one would hide the other in the joint distances."""
    x, y = uniform(500, 2), uniform(500, 2, 1)
    dimension, scaled = (joint_dimension(joint_neighbours(x, s * y + s, 2)) for s in (1, 1000))
    torch.testing.assert_close(dimension.joint, scaled.joint, rtol=1e-3, atol=0)


def test_joint_dimension_is_that_of_both_side_by_side() -> None:
    x, y = gaussian(300, 2).double(), gaussian(300, 3, seed=1).double()
    x, y = ((side - side.mean(0)) / (side - side.mean(0)).square().sum(1).mean().sqrt() for side in (x, y))
    joint = joint_dimension(joint_neighbours(x, y, 2)).joint
    torch.testing.assert_close(joint, twonn(nearest_neighbours(torch.cat([x, y], 1), 2)).value)


def test_correlation_is_the_published_one() -> None:
    """Basile and others: (d₁ + d₂ − d₁₂) / (d₁ + d₂ − min(d₁, d₂))."""
    x, y = uniform(300, 3), uniform(300, 1, 1)
    y = torch.cat([y, x[:, :1]], 1)
    dimension = joint_dimension(joint_neighbours(x, y, 2))
    upper, lower = dimension.x + dimension.y, torch.minimum(dimension.x, dimension.y)
    correlation = dimension_correlation(x, y, permutations=19)
    torch.testing.assert_close(correlation.value, (upper - dimension.joint) / (upper - lower))
    assert correlation.p_value == 0.05
    assert correlation.shuffled.abs() < 0.15


def test_p_values_of_independent_views_are_spread() -> None:
    p_values = [
        dimension_correlation(uniform(150, 1, seed), uniform(150, 1, seed + 50), twonn, 2, 19, seed).p_value
        for seed in range(12)
    ]
    assert 0.2 < sum(p_values) / 12 < 0.8


def test_replicates_equal_one_at_a_time() -> None:
    x, y = gaussian(2, 60, 2), gaussian(2, 60, 3, seed=1)
    together = dimension_correlation(x, y, permutations=5)
    for r in range(2):
        torch.testing.assert_close(
            torch.stack(dimension_correlation(x[r], y[r], permutations=5)),
            torch.stack([number[r] for number in together]),
        )


def test_no_dimension_no_correlation() -> None:
    x = torch.ones(20, 2)
    with pytest.warns(UserWarning, match="duplicates"):
        correlation = dimension_correlation(x, gaussian(20, 2), permutations=2)
    assert correlation.value.isnan()
    assert correlation.p_value.isnan()


def test_pairs_that_are_not_finite_are_left_out_of_both_views() -> None:
    x, y = gaussian(300, 2), gaussian(300, 3, seed=1)
    kept = torch.arange(300) > 2
    expected = joint_dimension(joint_neighbours(x[kept], y[kept], 2))
    x[0, 1], x[1, 0], y[2, 2] = math.nan, math.inf, math.nan
    with pytest.warns(UserWarning, match="3 of 300 points hold NaN or infinity and were left out"):
        dimension = joint_dimension(joint_neighbours(x, y, 2))
    for name in ("x", "y", "joint"):
        torch.testing.assert_close(getattr(dimension, name), getattr(expected, name))
    with pytest.warns(UserWarning, match="left out"):
        correlation = dimension_correlation(x, y, permutations=9)
    torch.testing.assert_close(correlation.value, expected.correlation)
    assert correlation.p_value.isfinite()


def test_pairs_that_are_not_finite_are_left_out_of_shuffled_pairs_too() -> None:
    """Rows that lack y would meet rows that lack x, and shuffled pairs would be fewer than the pairs."""
    x, y = uniform(90, 5), uniform(90, 5, 1)
    x[:20, 0], y[20:40, 0] = math.nan, math.inf
    sizes = []

    def noted(neighbours: Neighbours) -> DimensionEstimate:
        sizes.append(int(neighbours.valid.sum()))
        return twonn(neighbours)

    with pytest.warns(UserWarning, match="40 of 90 points"):
        correlation = dimension_correlation(x, y, noted, permutations=3)
    assert sizes == [50] * 6
    alone = joint_dimension(joint_neighbours(x[40:], y[40:], 2)).correlation
    torch.testing.assert_close(correlation.value, alone)


def test_what_a_replicate_lacks_does_not_change_the_shuffled_pairs_of_another() -> None:
    x, y = uniform(60, 3), uniform(60, 3, 1)
    lacking = x.clone()
    lacking[::7] = math.nan
    with pytest.warns(UserWarning, match="9 of 120 points"):
        both = dimension_correlation(torch.stack([lacking, x]), torch.stack([y, y]), permutations=5)
    for number, alone in zip(both, dimension_correlation(x, y, permutations=5), strict=True):
        torch.testing.assert_close(number[1], alone)
