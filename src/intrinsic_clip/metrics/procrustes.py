"""Orthogonal Procrustes: turn one representation onto another of the same rows, and see which rows do not fit."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows
from intrinsic_clip.metrics.alignment import as_same_rows


class Procrustes(NamedTuple):
    """Distance of two representations up to shift, scale and rotation.

    Attributes:
        residual: share of the variance of x that the turned y does not explain, `(*R,)`, in [0, 1]; the same with
            x and y exchanged.
        rows: squared distance of each row of x from its turned partner, in units of the mean squared distance of the
            rows of x from their mean, `(*R, n)`; its mean is the residual.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import procrustes
        >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
        >>> round(float(procrustes(x, 5 * x.flip(1) + 1).residual), 6)
        0.0
    """

    residual: Tensor
    rows: Tensor


@torch.no_grad()
def procrustes(x: Rows, y: Rows) -> Procrustes:
    """Turn y onto x by the best orthogonal map with a scale, both centred.

    Schönemann, *A generalized solution of the orthogonal Procrustes problem*, Psychometrika 31, 1966. With X and Y
    centred and of Frobenius norm 1, and σ the singular values of Yᵀ X, the residual is 1 − (Σ σ)². The narrower side
    is taken to have further columns of zeros, so that widths may differ.

    Args:
        x, y: `(*R, n, d_x)` and `(*R, n, d_y)`; row i of x and row i of y show the same thing.

    Returns:
        NaN where a value is not finite, or the rows of a side are all equal.

    Raises:
        ValueError: x and y differ in replicates or rows.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import procrustes
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(500, 4)
        >>> y = x @ torch.linalg.qr(torch.randn(4, 4)).Q
        >>> y[7] += 10  # one row has moved
        >>> int(procrustes(x, y).rows.argmax())
        7
    """
    x, y = as_same_rows(x, y)
    (x, finite_x), (y, finite_y) = _standard(x), _standard(y)
    left, values, right = torch.linalg.svd(y.mT @ x, full_matrices=False)
    strength = values.sum(-1)
    turned = y @ (left @ right)
    outside = (y.square().sum(-1) - turned.square().sum(-1)).clamp_min(0)  # in columns that x does not have
    apart = (x - turned * strength[..., None, None]).square().sum(-1)
    rows = (apart + strength.square()[..., None] * outside) * x.shape[-2]
    usable = finite_x & finite_y
    residual = (1 - strength.square()).clamp(0, 1)
    return Procrustes(residual.where(usable, math.nan), rows.where(usable[..., None], math.nan))


def _standard(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return centred rows of Frobenius norm 1, float64, and where there are such, `(*R,)`; zeros elsewhere."""
    finite = rows.isfinite().all(-1).all(-1)
    rows = rows.double().where(finite[..., None, None], 0.0)
    largest = rows.abs().amax((-2, -1), keepdim=True)
    rows = rows / largest.where(largest > 0, 1.0)
    rows = rows - rows.mean(-2, keepdim=True)
    size = torch.linalg.vector_norm(rows, dim=(-2, -1))
    varies = size > 1e-12 * math.sqrt(rows.shape[-2] * rows.shape[-1])
    return rows / size.where(varies, 1.0)[..., None, None] * varies[..., None, None], finite & varies
