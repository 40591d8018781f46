"""Means, variances and covariances of the columns of a batch, for objectives that compare columns, not rows."""

import torch
from torch import Tensor


def centred(rows: Tensor) -> Tensor:
    """Return rows `(*R, n, d)` less their mean."""
    return rows - rows.mean(-2, keepdim=True)


def standardised(rows: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Return rows `(*R, n, d)` with mean 0 and variance 1 in each column, as batch normalisation in training does.

    Args:
        rows: the batch.
        epsilon: what is added to the variances (divided by n), which keeps a constant column finite.
    """
    rows = centred(rows)
    return rows * (rows.square().mean(-2, keepdim=True) + epsilon).rsqrt()


def off_diagonal(matrices: Tensor) -> Tensor:
    """Return matrices `(*R, d, d)` with zeros on the diagonal."""
    return matrices.masked_fill(torch.eye(matrices.shape[-1], dtype=torch.bool, device=matrices.device), 0)
