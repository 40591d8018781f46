"""Orthogonal Procrustes: turn one representation onto another of the same rows, and see which rows do not fit."""

import math
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Turn:
    """The best shift, scale and rotation of rows of y onto those of x.

    Attributes:
        mean_x, mean_y: what is subtracted, `(*R, 1, d)` each.
        size_x, size_y: root of the mean squared distance of rows from their mean, `(*R, 1, 1)` each; NaN where rows
            are all equal or not finite.
        rotation: `(*R, d_y, d_x)`, orthogonal as far as the widths permit.
        strength: the sum of singular values, by which turned rows are scaled, `(*R, 1, 1)`.
    """

    mean_x: Tensor
    mean_y: Tensor
    size_x: Tensor
    size_y: Tensor
    rotation: Tensor
    strength: Tensor

    def distances(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the squared distance of rows of x from the turned rows of y, as of `Procrustes.rows`, `(*R, n)`."""
        x, y = (x.double() - self.mean_x) / self.size_x, (y.double() - self.mean_y) / self.size_y
        turned = y @ self.rotation
        outside = (y.square().sum(-1) - turned.square().sum(-1)).clamp_min(
            0
        )  # in columns that x does not have
        apart = (x - turned * self.strength).square().sum(-1)
        return apart + self.strength.square().squeeze(-1) * outside


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
    turn = best_turn(x, y)
    residual = (1 - turn.strength.square()).clamp(0, 1)[..., 0, 0]
    rows = turn.distances(x, y)
    return Procrustes(residual.where(rows.isfinite().all(-1), math.nan), rows)


@torch.no_grad()
def best_turn(x: Tensor, y: Tensor) -> Turn:
    """Find the best shift, scale and rotation of y, `(*R, n, d_y)`, onto x, `(*R, n, d_x)`."""
    (one, mean_x, size_x), (other, mean_y, size_y) = _standard(x), _standard(y)
    left, values, right = torch.linalg.svd(other.mT @ one / x.shape[-2], full_matrices=False)
    return Turn(mean_x, mean_y, size_x, size_y, left @ right, values.sum(-1)[..., None, None])


def _standard(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return centred rows with a mean squared length of 1, float64, their mean, and their size; zeros where NaN."""
    finite = rows.isfinite().all(-1).all(-1)[..., None, None]
    rows = rows.double().where(finite, 0.0)
    mean = rows.mean(-2, keepdim=True)
    centred = rows - mean
    largest = centred.abs().amax((-2, -1), keepdim=True)
    scaled = centred / largest.where(largest > 0, 1.0)
    size = scaled.square().sum(-1, keepdim=True).mean(-2, keepdim=True).sqrt()
    varies = largest > 1e-12 * rows.abs().amax((-2, -1), keepdim=True)
    size = size.where(varies & finite, math.nan)
    return (scaled / size).nan_to_num(), mean, size * largest
