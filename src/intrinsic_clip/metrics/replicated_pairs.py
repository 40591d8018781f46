"""Scores of all pairs, counted and summed for many replicates at once, for a GPU.

`matching` and `information` go through one replicate at a time, in blocks of rows that fit a processor's cache. Of a
few thousand rows that is too little work for a GPU. Here as many replicates as fit in memory are taken together; the
numbers are those of the other way, to the rounding of their sums.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

BLOCK_BYTES = 2**31  # of the scores that are in memory, and what is computed from them
ENTRY_BYTES = 24
MOST_SINGLE = 1e37  # float32 holds larger numbers, but not their sums
VANISHING = -80.0  # exp of less is negligible next to 1, and takes processors fifty times as long


class Counts(NamedTuple):
    """How many candidates score higher than the partner, and the same, `(B, n)` int64 each way."""

    greater_x: Tensor
    ties_x: Tensor
    greater_y: Tensor
    ties_y: Tensor


def worth_it(x: Tensor) -> bool:
    """Return whether replicates `(B, n, d)` gain by being taken together: on a GPU, and small enough."""
    return x.is_cuda and len(x) > 1 and _at_once(x.shape[1]) > 1


@torch.no_grad()
def partner_counts(x: Tensor, y: Tensor) -> Counts:
    """Count for each row of x among all y, and each of y among all x, which candidates beat its partner.

    Args:
        x, y: `(B, n, d)`; row i of x and row i of y are a pair. Scores are inner products in float64, and those that
            differ by less than their rounding count as equal.
    """
    counts = [Counts(*_counts(x[part].double(), y[part].double())) for part in _parts(x)]
    return Counts(*(torch.cat(column) for column in zip(*counts, strict=True)))


def _counts(x: Tensor, y: Tensor) -> Iterator[Tensor]:
    partner = (x * y).sum(-1)
    scores = x @ y.mT
    for queries, keys, axis in ((x, y, 2), (y, x, 1)):
        near = resolution(queries, keys)
        above, below = (bound.unsqueeze(axis) for bound in (partner + near, partner - near))
        greater = (scores > above).sum(axis)
        yield greater
        yield (scores >= below).sum(axis) - greater


def resolution(queries: Tensor, keys: Tensor) -> Tensor:
    """Return the largest difference of two scores of a query that rounding can make, `(*B, n)`; NaN if not finite.

    The scores are inner products in float64, each right to d u ‖q‖ ‖k‖ in any order of summation.

    Args:
        queries, keys: `(*B, n, d)` and `(*B, m, d)`.
    """
    longest = torch.linalg.vector_norm(keys, dim=-1).amax(-1, keepdim=True)
    unit = torch.finfo(queries.dtype).eps * (queries.shape[-1] + 2)
    bound = unit * torch.linalg.vector_norm(queries, dim=-1) * longest
    return bound.where(bound.isfinite(), torch.nan)


@torch.no_grad()
def cross_entropies(x: Tensor, y: Tensor, tau: Tensor) -> Tensor:
    """Return the cross-entropies x→y and y→x of the logits x yᵀ / τ, `(2, B)` float64.

    Args:
        x, y: `(B, n, d)`.
        tau: `(B,)`.
    """
    parts = [
        _cross_entropies(x[part].double() / tau[part, None, None].double(), y[part].double())
        for part in _parts(x)
    ]
    return torch.cat(parts, 1)


def _cross_entropies(x: Tensor, y: Tensor) -> Tensor:
    positive = (x * y).sum(-1)
    logits = x @ y.mT
    # Relative to the positive pair's, logits are small where it matters and fit float32.
    rows = logsumexp(narrowed(logits - positive[..., None]), 2)
    columns = logsumexp(narrowed(logits.sub_(positive[:, None])), 1)
    return torch.stack([rows.mean(-1), columns.mean(-1)]).clamp_min(0)


def narrowed(logits: Tensor) -> Tensor:
    """Return logits in float32, whose exponentials are faster, or as they are where they exceed its range."""
    smallest, largest = logits.aminmax()
    return logits.float() if smallest > -MOST_SINGLE and largest < MOST_SINGLE else logits


@torch.no_grad()
def log_sums(rows: Tensor, t: float) -> Tensor:
    """Return log Σ exp(−t ‖u − v‖²) over the pairs of each replicate's rows, each counted once, `(B,)`.

    Args:
        rows: `(B, n, d)` float64.
        t: positive.
    """
    sums = []
    for part in _parts(rows):
        some = rows[part]
        squares = some.square().sum(-1)
        exponents = torch.baddbmm(squares[:, None], some, some.mT, beta=-t, alpha=2 * t)
        exponents.sub_(t * squares[..., None]).clamp_max_(0)
        once = torch.ones_like(exponents[0], dtype=torch.bool).triu_(1)
        sums.append(exponents.masked_fill_(~once, -torch.inf).flatten(1).logsumexp(1))
    return torch.cat(sums)


def logsumexp(logits: Tensor, axis: int) -> Tensor:
    """Return log Σ exp along an axis of logits, which are overwritten; float64."""
    largest = logits.amax(axis, keepdim=True)
    total = logits.sub_(largest).clamp_min_(VANISHING).exp_().sum(axis)
    return total.log().double() + largest.squeeze(axis).double()


def _parts(x: Tensor) -> tuple[Tensor, ...]:
    return torch.arange(len(x), device=x.device).split(_at_once(x.shape[1]))


def _at_once(n: int) -> int:
    return max(1, BLOCK_BYTES // (ENTRY_BYTES * n * n))
