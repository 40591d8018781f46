"""Objectives at the limits of number types, and of numbers of several types at once."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from intrinsic_clip import loss

WITH_TAU: dict[str, Callable[..., Tensor]] = {
    "info_nce": loss.info_nce,
    "info_nce, smoothed": lambda x, y, tau, chunk: loss.info_nce(x, y, tau, chunk, label_smoothing=0.1),
    "info_nce, per direction": lambda x, y, tau, chunk: loss.info_nce(
        x, y, torch.stack([tau, 2 * tau]), chunk
    ),
    "cross_entropy": lambda x, y, tau, chunk: loss.cross_entropy(x, y, tau, 0, chunk),
    "decoupled_info_nce": loss.decoupled_info_nce,
    "sigmoid_loss": lambda x, y, tau, chunk: loss.sigmoid_loss(x, y, tau, -10.0, chunk),
    "sigmoid_loss, relative": lambda x, y, tau, chunk: loss.sigmoid_loss(
        x, y, tau, torch.ones_like(tau), chunk, True
    ),
    "cloob_loss": lambda x, y, tau, chunk: loss.cloob_loss(x, y, tau, torch.full_like(tau, 8), chunk),
    "anchored": lambda x, y, tau, chunk: loss.anchored([x, y], tau, 0, chunk),
    "symile": lambda x, y, tau, chunk: loss.symile([x, y], tau),
    "gram": lambda x, y, tau, chunk: loss.gram([x, y], tau),
}
WITHOUT_TAU: dict[str, Callable[..., Tensor]] = {
    "alignment_uniformity_loss": lambda x, y, chunk: loss.alignment_uniformity_loss(x, y, chunk=chunk),
    "triplet_loss": lambda x, y, chunk: loss.triplet_loss(x, y, chunk=chunk),
    "temperature_free_loss": lambda x, y, chunk: loss.temperature_free_loss(x, y, chunk=chunk),
    "individual_loss": lambda x, y, chunk: loss.individual_loss(x, y, chunk=chunk),
    "uncertainty_loss": lambda x, y, chunk: loss.uncertainty_loss(x, y, chunk=chunk),
    "spectral_loss": lambda x, y, chunk: loss.spectral_loss(x, y),
    "vicreg_loss": lambda x, y, chunk: loss.vicreg_loss(x, y),
    "barlow_twins_loss": lambda x, y, chunk: loss.barlow_twins_loss(x, y),
    "dcca_loss": lambda x, y, chunk: loss.dcca_loss(x, y),
    "soft_dcca_loss": lambda x, y, chunk: loss.soft_dcca_loss(x, y),
    "cosine_regression_loss": lambda x, y, chunk: loss.cosine_regression_loss(x, y),
}
WIDE, NARROW, HALF = torch.float64, torch.float32, torch.bfloat16


@pytest.mark.parametrize("chunk", [None, 3])
@pytest.mark.parametrize("replicates", [(), (2,)])
@pytest.mark.parametrize("types", [(NARROW, NARROW, WIDE), (WIDE, NARROW, NARROW), (HALF, WIDE, NARROW)])
@pytest.mark.parametrize("name", [*WITH_TAU, *WITHOUT_TAU])
def test_the_widest_type_holds_for_all(
    name: str, types: tuple[torch.dtype, ...], replicates: tuple[int, ...], chunk: int | None
) -> None:
    if name in WITHOUT_TAU and WIDE not in types[:2]:
        pytest.skip("only τ is wide")
    x, y = torch.randn(2, *replicates, 8, 4, generator=torch.Generator().manual_seed(0), dtype=WIDE)
    given = [part.to(dtype) for part, dtype in zip((x, y, torch.full(replicates, 0.07)), types, strict=True)]
    losses = []
    for parts in (given, [part.double() for part in given]):
        leaves = [part.requires_grad_() for part in parts]
        count = 3 if name in WITH_TAU else 2
        value = {**WITH_TAU, **WITHOUT_TAU}[name](*leaves[:count], chunk)
        assert value.dtype == WIDE
        assert all(part.isfinite().all() for part in torch.autograd.grad(value.sum(), leaves[:count]))
        losses.append(value)
    torch.testing.assert_close(*losses, rtol=1e-12, atol=1e-12)


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
