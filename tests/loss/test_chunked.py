"""The loss in chunks of rows has the loss and gradients of all logits at once, in much less memory."""

import math
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from intrinsic_clip.loss.info_nce import cross_entropy, info_nce

CHUNKS = (1, 7, 16, 40, 50)
PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
LARGE = f"""
import torch
from intrinsic_clip.loss import info_nce

{PEAK}
x, y = torch.randn(2, 8192, 64).requires_grad_()
info_nce(x, y, torch.tensor(5.0, requires_grad=True), chunk=256).backward()
{PEAK}
"""


def _inputs(*shape: int, tau: float, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(*shape, generator=generator, dtype=dtype)
    y = x + 0.3 * torch.randn(*shape, generator=generator, dtype=dtype)
    taus = tau * torch.linspace(1, 2, math.prod(shape[:-2]), dtype=dtype).reshape(shape[:-2])
    return x / shape[-1] ** 0.5, y / shape[-1] ** 0.5, taus


def _with_gradients(inputs: tuple[Tensor, ...], chunk: int | None) -> tuple[Tensor, ...]:
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    losses = info_nce(*leaves, chunk)
    return losses.detach(), *torch.autograd.grad(losses.sum(), leaves)


def _assert_equal(actual: tuple[Tensor, ...], expected: tuple[Tensor, ...], tolerance: float) -> None:
    for chunked, plain in zip(actual, expected, strict=True):
        assert (chunked - plain).abs().max() <= tolerance * plain.abs().max()


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("tau", [1.0, 0.07])
@pytest.mark.parametrize("replicates", [(), (3,), (2, 2)])
def test_equals_the_plain_loss(chunk: int, tau: float, replicates: tuple[int, ...]) -> None:
    inputs = _inputs(*replicates, 40, 6, tau=tau)
    _assert_equal(_with_gradients(inputs, chunk), _with_gradients(inputs, None), 1e-6)


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("tau", [1e-2, 1e-4])
def test_stays_right_as_tau_goes_to_its_floor(chunk: int, tau: float) -> None:
    inputs = _inputs(2, 40, 6, tau=tau, dtype=torch.float64)
    _assert_equal(_with_gradients(inputs, chunk), _with_gradients(inputs, None), 1e-12)
    in_float32 = _with_gradients(tuple(tensor.float() for tensor in inputs), chunk)
    _assert_equal(in_float32, _with_gradients(inputs, None), 1e-3)  # rounding of the inputs, times 1/τ


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [None, 4, 3])
def test_gradients_against_finite_differences(chunk: int | None) -> None:
    x, y, tau = (t.requires_grad_() for t in _inputs(2, 8, 3, tau=0.3, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda *leaves: info_nce(*leaves, chunk), (x, y, tau))
    assert torch.autograd.gradcheck(
        lambda x, y, tau: cross_entropy(x[..., 2:7, :], y, tau, 2, chunk), (x, y, tau)
    )


@pytest.mark.parametrize("chunk", [None, 3, 8])
def test_the_loss_is_the_mean_of_its_shares(chunk: int | None) -> None:
    inputs = x, y, tau = tuple(t.requires_grad_() for t in _inputs(2, 40, 6, tau=0.1))
    shares = []
    for first in range(0, 40, 8):
        rows = slice(first, first + 8)
        x_to_y = cross_entropy(x[..., rows, :], y, tau, first, chunk)
        y_to_x = cross_entropy(y[..., rows, :], x, tau, first, chunk)
        shares.append((x_to_y + y_to_x) / 2)
    losses = torch.stack(shares).mean(0)
    from_shares = losses.detach(), *torch.autograd.grad(losses.sum(), inputs)
    _assert_equal(from_shares, _with_gradients(tuple(t.detach() for t in inputs), None), 2e-6)


def test_collapsed_representations_give_no_nan() -> None:
    zeros = torch.zeros(2, 10, 3)
    results = _with_gradients((zeros, zeros, torch.full((2,), 1e-4)), 4)
    assert all(torch.isfinite(tensor).all() for tensor in results)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="units of ru_maxrss")
def test_a_large_batch_takes_less_memory_than_its_logits() -> None:
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    before, peak = (1024 * int(line) for line in done.stdout.split())
    logits = 4 * 8192**2
    assert peak - before < 0.6 * logits  # all at once: four times the logits
