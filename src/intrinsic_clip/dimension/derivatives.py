"""Jacobians of an encoder at many points, block by block: exact, or compressed with random directions."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor
from torch.func import jvp, vjp
from torch.nn.attention import SDPBackend, sdpa_kernel

from intrinsic_clip.seeding import seeded

Encoder = Callable[[Tensor], Tensor]


class Jacobians:
    """Jacobians ∂f/∂x of all replicates at every point, as an iterable of blocks of points.

    A block is the points' numbers, the Jacobians `(B, points, d or m, d_in)` with R as one axis of length B, and which
    outputs depend on the input, `(B, d)`. Attention runs in its plain form, and the encoder gets no gradient.

    Args:
        encoder, x, input_dims, directions, seed, block_bytes: as `jacobian_spectrum` takes them.

    Attributes:
        replicates: R.
        d: number of outputs.
        m: rows of a Jacobian: d, or fewer where `directions` compress it.
    """

    def __init__(
        self,
        encoder: Encoder,
        x: Tensor,
        input_dims: int = 1,
        directions: int | None = None,
        seed: int = 0,
        block_bytes: int = 2**28,
    ) -> None:
        self.encoder, self.x, self.input_dims, self.seed = encoder, x, input_dims, seed
        self.block_bytes = block_bytes
        with _plain_derivatives(x.device):
            *replicates, self.d = _output_shape(encoder, x, input_dims)
        self.replicates: list[int] = replicates
        self.n, *self.row = x.shape[-input_dims - 1 :]
        self.d_in = math.prod(self.row)
        self.m = min(self.d, self.d_in, directions or self.d)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        x, d, d_in, flat = self.x, self.d, self.d_in, math.prod(self.replicates)
        exact = self.m in (d, d_in)
        omega = None if exact else _random_directions(self.m, self.row, self.seed, x)
        rows = x.expand(*self.replicates, self.n, *self.row)
        per_point = flat * (d * d_in if exact else self.m * (d + d_in)) * (x.element_size() + 16)
        for points in torch.arange(self.n, device=x.device).split(
            max(1, self.block_bytes // max(1, per_point))
        ):
            with _plain_derivatives(x.device):
                block = rows.index_select(len(self.replicates), points)
                f = partial(_flat_output, self.encoder, block.shape)
                block = block.reshape(flat, len(points), d_in)
                jacobian, used = _jacobian(f, block, d) if omega is None else _compressed(f, block, omega)
            yield points, jacobian, used


@contextmanager
def _plain_derivatives(device: torch.device) -> Iterator[None]:
    """Record no gradients of the weights, and use only operations that can be differentiated twice."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            torch.inference_mode(False),  # Lightning validates in it, and it would forbid derivatives
            torch.no_grad(),
            torch.autocast(device.type, enabled=False),
            sdpa_kernel(SDPBackend.MATH),
        ):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def _output_shape(encoder: Encoder, x: Tensor, input_dims: int) -> tuple[int, ...]:
    """Return R and d, read off the output for the first row."""
    first = x.narrow(-input_dims - 1, 0, 1).clone()
    shape = encoder(first).shape
    replicates = x.shape[: -input_dims - 1]
    fits = len(shape) >= 2 and shape[-2] == 1 and shape[-1] >= 1
    if not fits or replicates != shape[len(shape) - 2 - len(replicates) : -2]:
        raise ValueError(
            f"the encoder must map (*R, n, *input) to (*R, n, d), but maps {tuple(first.shape)} to {tuple(shape)}"
        )
    return (*shape[:-2], shape[-1])


def _flat_output(encoder: Encoder, shape: torch.Size, rows: Tensor) -> Tensor:
    """Apply the encoder to rows flattened from the given shape; return its output with R as one axis."""
    outputs = encoder(rows.reshape(shape))
    return outputs.reshape(*rows.shape[:2], outputs.shape[-1])


def _random_directions(m: int, row: list[int], seed: int, like: Tensor) -> Tensor:
    generator = seeded(seed)
    return torch.randn(m, math.prod(row), generator=generator, dtype=torch.float64).to(like)


def _jacobian(f: Encoder, x: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """Return the Jacobians `(B, n, d, d_in)` at the points `(B, n, d_in)` and the outputs in use, `(B, d)`."""
    d_in = x.shape[-1]
    if d <= d_in:
        pullback = vjp(f, x)[1]
        cotangents = torch.eye(d, dtype=x.dtype, device=x.device)
        jacobian = torch.stack([pullback(row.expand(*x.shape[:2], d))[0] for row in cotangents], -2)
    else:
        jacobian = _pushed(f, x, torch.eye(d_in, dtype=x.dtype, device=x.device))
    return jacobian, (jacobian != 0).any(-1).any(1)


def _compressed(f: Encoder, x: Tensor, omega: Tensor) -> tuple[Tensor, Tensor]:
    """Return Qᵀ times the Jacobians, `(B, n, m, d_in)`, Q spanning the images of omega, and the outputs in use."""
    images = _pushed(f, x, omega)
    q = torch.linalg.qr(images.double()).Q.to(x.dtype)
    pullback = vjp(f, x)[1]
    return torch.stack([pullback(column)[0] for column in q.unbind(-1)], -2), (images != 0).any(-1).any(1)


def _pushed(f: Encoder, x: Tensor, directions: Tensor) -> Tensor:
    """Multiply the Jacobian at every point by each of the directions `(m, d_in)`, giving `(B, n, d, m)`."""
    tangents = [direction.expand_as(x) for direction in directions]
    try:
        return torch.stack([jvp(f, (x,), (tangent,))[1] for tangent in tangents], -1)
    except (NotImplementedError, RuntimeError):  # some operation has no forward derivative
        # The pullback is linear in its cotangent, so pulling back through it pushes forward.
        pullback = vjp(f, x)[1]
        anywhere = torch.zeros_like(f(x))
        push = vjp(lambda cotangent: pullback(cotangent)[0], anywhere)[1]
        return torch.stack([push(tangent)[0] for tangent in tangents], -1)
