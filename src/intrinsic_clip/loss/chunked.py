"""Cross-entropies of the logits computed chunk by chunk, with a few rows of them in memory at a time.

    CE_i = log Σ_j exp S_ij − S_ii,   S = x yᵀ

A chunk is computed again for the gradient, which is exact, and works in place: memory grows with chunk · N instead of
N². Maximum and sum of the exponentials are kept separate, as in log_softmax: at small τ logits are in the thousands,
and differences of their logarithms would be lost to rounding. The decoupled form leaves S_ii out of the sum. The
gradient has no derivative of its own, and says so where one is asked for.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.loss.first_derivatives import first_derivatives_only, outside_transforms
from intrinsic_clip.loss.rows import IN_CHUNKS


@torch.compiler.disable
def both_ways(x: Tensor, y: Tensor, chunk: int, decoupled: bool = False) -> tuple[Tensor, Tensor]:
    """Return the cross-entropies of the rows of S and of its columns, `(*R, N)` each, from one pass over S.

    Args:
        x, y: representations `(*R, N, d)`, one of them divided by τ.
        chunk: rows of S per chunk.
        decoupled: leave the positive out of the sum.
    """
    return outside_transforms(_CrossEntropies.apply, *IN_CHUNKS, x, y, 0, chunk, True, decoupled)


@torch.compiler.disable
def one_way(x: Tensor, y: Tensor, first: int, chunk: int, decoupled: bool = False) -> Tensor:
    """Return the cross-entropies of the rows of S, `(*R, n)`, for some of a batch's rows.

    Args:
        x: `(*R, n, d)`. y: `(*R, N, d)`. One of them is divided by τ.
        first: the row of y that is the partner of row 0 of x.
        chunk: rows of S per chunk.
        decoupled: leave the positive out of the sum.
    """
    return outside_transforms(_CrossEntropies.apply, *IN_CHUNKS, x, y, first, chunk, False, decoupled)[0]


class _CrossEntropies(torch.autograd.Function):
    """Cross-entropies of the rows and columns of S, with a gradient that computes the logits again."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor, first: int, chunk: int, with_columns: bool, decoupled: bool
    ) -> tuple[Tensor, Tensor | None]:
        positives, row_top, row_log = (x.new_empty(x.shape[:-1]) for _ in range(3))
        column_top, column_sum = y.new_full(y.shape[:-1], -torch.inf), y.new_zeros(y.shape[:-1])
        for rows, logits in _chunks(x, y, chunk):
            positives[..., rows] = logits.diagonal(first + rows.start, -2, -1)
            if decoupled:
                _leave_out(logits, first + rows.start)
            row_top[..., rows] = logits.amax(-1)
            row_log[..., rows] = (logits - row_top[..., rows, None]).exp_().sum(-1).log_()
            if with_columns:
                top = torch.maximum(column_top, logits.amax(-2))
                column_sum *= (column_top - top).exp_()
                column_sum += logits.sub_(top[..., None, :]).exp_().sum(-2)
                column_top.copy_(top)
        column_log = column_sum.log_()
        ctx.save_for_backward(x, y, row_top, row_log, column_top, column_log)
        ctx.first, ctx.chunk, ctx.decoupled = first, chunk, decoupled
        column_entropies = (column_top - positives) + column_log if with_columns else None
        return (row_top - positives) + row_log, column_entropies

    @staticmethod
    @first_derivatives_only(*IN_CHUNKS)
    def backward(ctx: Any, grad_rows: Tensor, grad_columns: Tensor | None) -> tuple[Tensor | None, ...]:
        x, y, row_top, row_log, column_top, column_log = ctx.saved_tensors
        grad_x, grad_y = torch.empty_like(x), torch.zeros_like(y)
        for rows, logits in _chunks(x, y, ctx.chunk):
            if ctx.decoupled:
                _leave_out(logits, ctx.first + rows.start)
            if grad_columns is not None:
                weights = (logits - column_top[..., None, :]).sub_(column_log[..., None, :]).exp_()
                weights *= grad_columns[..., None, :]
                weights.diagonal(ctx.first + rows.start, -2, -1).sub_(grad_columns[..., rows])
            logits.sub_(row_top[..., rows, None]).sub_(row_log[..., rows, None]).exp_()
            logits *= grad_rows[..., rows, None]
            logits.diagonal(ctx.first + rows.start, -2, -1).sub_(grad_rows[..., rows])
            if grad_columns is not None:
                logits += weights
            grad_x[..., rows, :] = logits @ y
            grad_y += logits.mT @ x[..., rows, :]
        return grad_x, grad_y, None, None, None, None


def _leave_out(logits: Tensor, first: int) -> None:
    """Make the positives' exponentials zero; −∞ would turn a column that holds nothing else into NaN."""
    logits.diagonal(first, -2, -1).fill_(torch.finfo(logits.dtype).min / 4)


def _chunks(x: Tensor, y: Tensor, chunk: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield a slice of rows and their logits, `(*R, chunk, N)`, chunk by chunk."""
    for start in range(0, x.shape[-2], chunk):
        rows = slice(start, min(start + chunk, x.shape[-2]))
        yield rows, x[..., rows, :] @ y.mT
