"""The loss in chunks of rows has the loss and gradients of all logits at once, in much less memory."""

import math
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import normalize
from torch.utils.checkpoint import checkpoint

from intrinsic_clip import loss
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss.info_nce import cross_entropy, info_nce
from intrinsic_clip.loss.rows import by_rows

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


IN_CHUNKS: dict[str, Callable[[Tensor, Tensor, int | None], Tensor]] = {
    "info_nce": lambda x, y, chunk: info_nce(x, y, 0.3, chunk),
    "cross_entropy": lambda x, y, chunk: cross_entropy(x, y, 0.3, 0, chunk),
    "decoupled_info_nce": lambda x, y, chunk: loss.decoupled_info_nce(x, y, 0.3, chunk),
    "cloob_loss": lambda x, y, chunk: loss.cloob_loss(x, y, 0.3, 8.0, chunk),
    "sigmoid_loss": lambda x, y, chunk: loss.sigmoid_loss(x, y, 0.3, -1.0, chunk),
}
BY_ROWS: dict[str, Callable[[Tensor, Tensor, int | None], Tensor]] = {
    "alignment_uniformity_loss": lambda x, y, chunk: loss.alignment_uniformity_loss(x, y, chunk=chunk),
    "triplet_loss": lambda x, y, chunk: loss.triplet_loss(x, y, chunk=chunk),
    "temperature_free_loss": lambda x, y, chunk: loss.temperature_free_loss(x, y, chunk=chunk),
    "uncertainty_loss": lambda x, y, chunk: loss.uncertainty_loss(x, y, chunk=chunk),
}


def _penalty(function: Callable[[Tensor, Tensor, int | None], Tensor], chunk: int | None) -> Tensor:
    """Return the gradient of a squared gradient."""
    x, y, _ = _inputs(12, 4, tau=1.0, dtype=torch.float64)
    x.requires_grad_()
    gradient = torch.autograd.grad(
        function(normalize(x, dim=-1), normalize(y, dim=-1), chunk), x, create_graph=True
    )
    return torch.autograd.grad(gradient[0].square().sum(), x)[0]


@pytest.mark.parametrize("name", IN_CHUNKS)
def test_second_derivatives_in_chunks_are_refused(name: str) -> None:
    assert _penalty(IN_CHUNKS[name], None).isfinite().all()
    with pytest.raises(ConfigError, match=r"create_graph=True.*: set chunk=None"):
        _penalty(IN_CHUNKS[name], 5)


def _several(
    function: Callable[[Tensor, Tensor, int | None], Tensor], chunk: int | None
) -> tuple[Tensor, ...]:
    """Return the gradients of each replicate's loss, taken in one call."""
    x, y, _ = _inputs(3, 12, 4, tau=1.0, dtype=torch.float64)
    leaves = x.requires_grad_(), y.requires_grad_()
    losses = function(normalize(x, dim=-1), normalize(y, dim=-1), chunk).reshape(3, -1).sum(1)
    each = torch.eye(3, dtype=torch.float64)
    return torch.autograd.grad(losses, leaves, grad_outputs=each, is_grads_batched=True)


@pytest.mark.parametrize("name", IN_CHUNKS)
def test_several_gradients_in_one_call_are_refused_in_chunks(name: str) -> None:
    assert all(gradient.isfinite().all() for gradient in _several(IN_CHUNKS[name], None))
    with pytest.raises(ConfigError, match=r"^is_grads_batched=True.*: set chunk=None$"):
        _several(IN_CHUNKS[name], 5)


@pytest.mark.parametrize("name", BY_ROWS)
def test_what_is_computed_again_by_rows_has_several_gradients(name: str) -> None:
    torch.testing.assert_close(_several(BY_ROWS[name], 5), _several(BY_ROWS[name], None))


@pytest.mark.parametrize("name", BY_ROWS)
def test_what_is_computed_again_by_rows_has_its_second_derivatives(name: str) -> None:
    torch.testing.assert_close(_penalty(BY_ROWS[name], 5), _penalty(BY_ROWS[name], None))


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("name", IN_CHUNKS)
def test_first_derivatives_in_chunks_pass_through_checkpoints(name: str, reentrant: bool) -> None:
    results: list[Tensor] = []
    for through in (False, True):
        x, y, _ = _inputs(12, 4, tau=1.0)
        x.requires_grad_()
        function = IN_CHUNKS[name]
        value = checkpoint(function, x, y, 5, use_reentrant=reentrant) if through else function(x, y, 5)
        value.backward(retain_graph=True)
        assert x.grad is not None
        results.append(x.grad)
    assert torch.equal(results[0], results[1])


@pytest.mark.parametrize("name", IN_CHUNKS | BY_ROWS)
def test_gradients_within_autocast_are_as_near_as_those_of_all_logits(name: str) -> None:
    function, errors = (IN_CHUNKS | BY_ROWS)[name], []
    x, y, _ = (each.mul(3) for each in _inputs(64, 6, tau=1.0, dtype=torch.float64))
    exact = _gradient_within_autocast(function, x, y, None, enabled=False)
    for chunk in (None, 16):
        found = _gradient_within_autocast(function, x.float(), y.float(), chunk)
        errors.append(float((found - exact).norm() / exact.norm()))
    assert errors[1] <= 1.5 * errors[0] <= 0.02


@pytest.mark.parametrize(
    "name", [name for name in IN_CHUNKS if name != "cloob_loss"]
)  # which has other products
def test_gradients_in_chunks_keep_float32_within_autocast(name: str) -> None:
    x, y, _ = _inputs(64, 6, tau=1.0)
    plain = _gradient_within_autocast(IN_CHUNKS[name], x, y, 16, enabled=False)
    assert torch.equal(_gradient_within_autocast(IN_CHUNKS[name], x, y, 16), plain)


def _gradient_within_autocast(
    function: Callable[[Tensor, Tensor, int | None], Tensor],
    x: Tensor,
    y: Tensor,
    chunk: int | None,
    enabled: bool = True,
) -> Tensor:
    """Return the gradient of the mean loss in x, of a backward pass that runs within autocast too."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
        function(x, y, chunk).mean().backward()
    assert x.grad is not None
    return x.grad


def _in_forward_mode(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with forward_ad.dual_level():
        return function(forward_ad.make_dual(x, torch.ones_like(x)))


TRANSFORMS: dict[str, Callable[[Callable[[Tensor], Tensor], Tensor], object]] = {
    "torch.func.grad": lambda function, x: torch.func.grad(function)(x),
    "torch.func.vjp": lambda function, x: torch.func.vjp(function, x),
    "torch.func.jvp": lambda function, x: torch.func.jvp(function, (x,), (x,)),
    "torch.func.vmap": lambda function, x: torch.func.vmap(function)(x[None]),
    "forward mode": _in_forward_mode,
}


@pytest.mark.parametrize(
    ("name", "transform"),
    [
        *((name, transform) for name in IN_CHUNKS for transform in TRANSFORMS),
        *((name, transform) for name in BY_ROWS for transform in ("torch.func.grad", "torch.func.vjp")),
    ],
)
def test_chunks_say_that_they_do_not_go_together_with_transforms(name: str, transform: str) -> None:
    x, y, _ = _inputs(12, 4, tau=1.0)
    function = (IN_CHUNKS | BY_ROWS)[name]
    TRANSFORMS[transform](lambda rows: function(rows, y, None), x)
    with pytest.raises(
        ConfigError, match=r"neither torch\.func nor forward-mode derivatives: set chunk=None"
    ):
        TRANSFORMS[transform](lambda rows: function(rows, y, 5), x)


def test_errors_of_another_kind_stay_what_they_are() -> None:
    def failing(*_: object) -> Tensor:
        raise RuntimeError("out of memory")

    rows = torch.ones(4, 2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"^out of memory$"):
        by_rows(failing, rows, rows, 2)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="units of ru_maxrss")
def test_a_large_batch_takes_less_memory_than_its_logits() -> None:
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    before, peak = (1024 * int(line) for line in done.stdout.split())
    logits = 4 * 8192**2
    assert peak - before < 0.6 * logits  # all at once: four times the logits
