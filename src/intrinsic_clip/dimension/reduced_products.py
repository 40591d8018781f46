"""Bound inner products by those of a few leading coordinates, so that most rows are ruled out with little work.

With V an orthonormal basis, p = Vᵀ row and r = ‖row − V p‖ the inner product of two rows is at most p · p' + r r', by
the inequality of Cauchy and Schwarz. Where a few directions hold most of the variance, that is nearly as good as the
product.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

PER_TERM, PER_HIT, SCAN = 1.3e-11, 4e-9, 1e-9  # seconds: a term of a product, a column of a hit, a comparison
STEPS = (32, 64, 96, 128, 192, 256, 384)  # directions that are tried
WORTH = 0.7  # of the time without, below which a reduction is used


class Reduction:
    """Leading coordinates of rows, and the length of the rest.

    Args:
        basis: orthonormal columns, `(d, m)`.
    """

    def __init__(self, basis: Tensor) -> None:
        self.basis = basis.float().contiguous()
        self.slack = (basis.shape[0] + 8) * torch.finfo(torch.float32).eps

    @property
    def error(self) -> float:
        """Return the rounding of a product of two rows of length 1."""
        return (self.basis.shape[1] ** 0.5 + 2) * self.slack

    def __call__(self, rows: Tensor, squares: Tensor) -> Tensor:
        """Return (p, r) of single-precision rows with these squared lengths, `(b, m + 1)`; r rounded up."""
        leading = rows @ self.basis
        rest = (squares - leading.square().sum(1)).clamp_min(0) + self.slack * squares
        return torch.cat([leading, rest.sqrt()[:, None]], 1)


def cheapest(
    axes: Tensor,
    rows: Tensor,
    queries: Tensor,
    hits: Callable[[Tensor], Tensor],
    steps: Sequence[int] = STEPS,
) -> Reduction | None:
    """Return the reduction that is expected to take the least time; None where full products do.

    Args:
        axes: orthonormal directions, those of the largest variance first, `(d, d)`.
        rows: some rows drawn at random, single precision `(b, d)`.
        queries: some queries, `(q, d)`.
        hits: called with upper bounds of the inner products `(q, b)`; returns which pairs need the exact one.
        steps: numbers of directions to try.
    """
    d = len(axes)
    best, least = None, WORTH * (PER_TERM * 2 * d + SCAN + PER_HIT * d * _share(hits, queries @ rows.mT))
    for m in steps:
        if 2 * m > d:
            break
        reduction = Reduction(axes[:, :m].to(rows.device))
        bounds = reduction(queries, queries.square().sum(1)) @ reduction(rows, rows.square().sum(1)).mT
        time = PER_TERM * 2 * (m + 1) + SCAN + PER_HIT * d * _share(hits, bounds)
        if time < least:
            best, least = reduction, time
    return best


def _share(hits: Callable[[Tensor], Tensor], products: Tensor) -> float:
    return float(hits(products).double().mean())
