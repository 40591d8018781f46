"""The sum of the sigmoid loss over all n² pairs, computed chunk by chunk, with a few rows of logits in memory."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.loss.first_derivatives import first_derivatives_only, outside_transforms
from intrinsic_clip.loss.rows import IN_CHUNKS


@torch.compiler.disable
def total(x: Tensor, y: Tensor, bias: Tensor, chunk: int) -> Tensor:
    """Return Σ_ij −log σ(z_ij S_ij) with S = x yᵀ + b, z_ii = 1 and z_ij = −1, per replicate, `(*R,)`.

    Args:
        x, y: representations `(*R, n, d)`, one of them divided by τ.
        bias: b, `(*R,)`.
        chunk: rows of S per chunk.
    """
    return outside_transforms(_SigmoidLoss.apply, *IN_CHUNKS, x, y, bias, chunk)


class _SigmoidLoss(torch.autograd.Function):
    """The sum over all pairs, with a gradient that computes the logits again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, bias: Tensor, chunk: int) -> Tensor:
        by_row = x.new_empty(x.shape[:-1])
        for rows, wrong in _chunks(x, y, bias, chunk):
            logarithm = wrong.abs().neg_().exp_().log1p_()
            by_row[..., rows] = logarithm.add_(wrong.clamp_(min=0)).sum(-1)
        ctx.save_for_backward(x, y, bias)
        ctx.chunk = chunk
        return by_row.sum(-1)

    @staticmethod
    @first_derivatives_only(*IN_CHUNKS)
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, y, bias = ctx.saved_tensors
        grad_x, grad_y, grad_bias = torch.empty_like(x), torch.zeros_like(y), torch.zeros_like(grad)
        for rows, wrong in _chunks(x, y, bias, ctx.chunk):
            slopes = wrong.sigmoid_()
            slopes.diagonal(rows.start, -2, -1).neg_()
            slopes *= grad[..., None, None]
            grad_bias += slopes.sum((-2, -1))
            grad_x[..., rows, :] = slopes @ y
            grad_y += slopes.mT @ x[..., rows, :]
        return grad_x, grad_y, grad_bias, None


def _chunks(x: Tensor, y: Tensor, bias: Tensor, chunk: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield a slice of rows and −z · S of them, `(*R, chunk, n)`: large where a pair is judged wrongly."""
    for start in range(0, x.shape[-2], chunk):
        rows = slice(start, min(start + chunk, x.shape[-2]))
        wrong = (x[..., rows, :] @ y.mT).add_(bias[..., None, None])
        wrong.diagonal(start, -2, -1).neg_()
        yield rows, wrong
