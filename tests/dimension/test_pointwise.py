"""The standard error of the median of the estimates at the points says how far it is off, however they are spread."""

import math

import pytest
import torch
from torch import Tensor

from intrinsic_clip.dimension.pointwise import combined


def _normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def _two_groups(*shape: int) -> Tensor:
    """Return draws around two dimensions, between which the median lies."""
    return torch.where(torch.rand(*shape) < 0.45, 2 + 0.2 * _normal(*shape), 4 + _normal(*shape))


def _skewed(*shape: int) -> Tensor:
    return (2 * _normal(*shape)).exp()


@pytest.mark.parametrize("draw", [_normal, _two_groups, _skewed])
@pytest.mark.parametrize("n", [150, 1001])
def test_the_error_of_a_median_holds_for_any_distribution(draw, n) -> None:
    torch.manual_seed(n)
    truth = float(draw(2_000_001).median())
    value, error = combined(draw(600, n), "median")
    within = float(((value - truth).abs() <= 2 * error).double().mean())
    assert 0.87 <= within <= 0.985  # not 0.95 where the value can be off farther to one side


def test_the_error_of_the_median_of_normal_estimates_has_its_closed_form() -> None:
    torch.manual_seed(0)
    _, error = combined(3 * _normal(20, 40_000), "median")
    assert float(error.mean()) == pytest.approx(math.sqrt(math.pi / 2) * 3 / 200, rel=0.03)


def test_what_is_infinite_or_missing_leaves_the_error_of_a_median_as_it_is() -> None:
    torch.manual_seed(0)
    estimates = _normal(101)
    expected = combined(estimates, "median")
    far = estimates.where(estimates < estimates.sort().values[80], math.inf)
    assert combined(far, "median") == expected
    both = torch.stack([torch.cat([estimates, torch.full((50,), math.nan)]), _normal(151)])
    value, error = combined(both, "median")
    assert (value[0], error[0]) == expected
    few = torch.tensor([[math.nan, 2.0, math.nan], [math.nan, 2.0, 4.0]], dtype=torch.float64)
    assert combined(few, "median")[1].isnan().tolist() == [True, False]
