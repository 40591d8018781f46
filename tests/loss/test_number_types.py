"""Objectives at the limits of number types, and of numbers of several types at once."""

import math

import pytest
import torch

from intrinsic_clip import loss


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("chunk", [None, 3])
@pytest.mark.parametrize("epsilon", [1e-8, 1e-30])
def test_log_odds_are_finite_however_small_epsilon_is(
    epsilon: float, chunk: int | None, dtype: torch.dtype
) -> None:
    x = torch.eye(8, dtype=dtype).requires_grad_()
    value = loss.temperature_free_loss(x, -x, epsilon, chunk)
    least = max(epsilon, torch.finfo(dtype).eps / 2)
    expected = math.log((2 - least) / least) + math.log(7)  # the logits of the 7 others are 0
    assert float(value.detach()) == pytest.approx(expected, rel=1e-6)
    assert torch.autograd.grad(value, x)[0].isfinite().all()


@pytest.mark.parametrize("exponent", [0.01, 0.1, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_pairs_are_aligned_at_any_exponent(exponent: float, dtype: torch.dtype) -> None:
    x = torch.eye(8, dtype=dtype).requires_grad_()
    value = loss.alignment_uniformity_loss(x, x.detach(), 1, 0, exponent)
    assert value == 0
    assert torch.autograd.grad(value, x)[0].isfinite().all()
    distances = torch.tensor([1e-3, 1e-5, 0.9e-6, 1.1e-6, 1e-9, 0.0], dtype=dtype)[:, None].requires_grad_()
    value = loss.alignment_uniformity_loss(distances, torch.zeros_like(distances), 6, 0, exponent)
    expected = sum(d**exponent for d in distances[:4, 0].tolist())
    assert float(value.detach()) == pytest.approx(expected, rel=0.1)
    gradient = torch.autograd.grad(value, distances)[0]
    assert gradient.isfinite().all()
    assert (gradient >= 0).all()
