"""Uniformity: the evenness with which a representation's directions spread over the sphere."""

import math

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows, as_points
from intrinsic_clip.metrics import replicated_pairs
from intrinsic_clip.metrics.alignment import directions
from intrinsic_clip.metrics.row_blocks import row_blocks


@torch.no_grad()
def uniformity(x: Rows, t: float = 2.0) -> Tensor:
    """Return log E exp(−t ‖u − v‖²) over the pairs of different rows with directions u and v, `(*R,)` float64.

    Wang, Isola, *Understanding contrastive representation learning through alignment and uniformity on the
    hypersphere*, ICML 2020, section 4.1. It is 0 where all directions are the same, and for directions uniform on
    the sphere about −2t if d is large. A zero vector has no direction and counts as the origin.

    Args:
        x: representations, `(*R, n, d)`.
        t: sharpness with which near pairs outweigh far ones; positive.

    Raises:
        ValueError: fewer than two rows, no column, or t that is not positive.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import uniformity
        >>> round(float(uniformity(torch.eye(7))), 3)  # all at squared distance 2
        -4.0
        >>> abs(round(float(uniformity(torch.ones(7, 3))), 3))
        0.0
    """
    x = as_points(x, "x")
    if x.ndim < 2 or x.shape[-2] < 2 or x.shape[-1] < 1:
        raise ValueError(f"x must be (*R, n, d) with n >= 2 and d >= 1, got shape {tuple(x.shape)}")
    if not t > 0:
        raise ValueError(f"t must be positive, got {t}")
    *replicates, n, d = x.shape
    flat = x.reshape(math.prod(replicates), n, d)
    if replicated_pairs.worth_it(flat):
        logs = replicated_pairs.log_sums(directions(flat), t)
    else:
        logs = torch.empty(len(flat), dtype=torch.float64, device=x.device)
        for r, rows in enumerate(flat):
            logs[r] = _log_sum(directions(rows), t)
    return (logs - math.log(n * (n - 1) / 2)).reshape(replicates)


def _log_sum(rows: Tensor, t: float) -> Tensor:
    """Return log Σ exp(−t ‖u − v‖²) over the pairs of one replicate's rows, each counted once."""
    n = len(rows)
    total = rows.new_tensor(-math.inf)
    squares = rows.square().sum(-1)
    for block in row_blocks(n - 1, n, rows.device):
        later = slice(int(block[0]), n)
        exponents = torch.addmm(squares[later], rows[block], rows[later].T, beta=-t, alpha=2 * t)
        exponents.sub_(t * squares[block, None]).clamp_max_(0)
        not_later = torch.ones(len(block), len(block), dtype=torch.bool, device=rows.device).tril_()
        exponents[:, : len(block)].masked_fill_(not_later, -math.inf)
        largest = exponents.amax()
        total = total.logaddexp(exponents.sub_(largest).exp_().sum().log() + largest)
    return total
