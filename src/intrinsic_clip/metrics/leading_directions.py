"""Directions of which the leading ones can be kept: principal ones of one modality, canonical ones of two."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows, as_points, check_same_index
from intrinsic_clip.dimension.scaling import scale_of


class CanonicalDirections(NamedTuple):
    """Directions of both modalities that correlate most, in descending order.

    Attributes:
        x, y: columns to multiply centred rows with, `(*R, d_x, m)` and `(*R, d_y, m)`, m = min(d_x, d_y); the
            products have variance 1 where there is no ridge.
        correlations: correlations of the products, which a ridge makes smaller, `(*R, m)`.
        mean_x, mean_y: means to subtract from the rows first, `(*R, 1, d_x)` and `(*R, 1, d_y)`.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import canonical_directions
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(1000, 3)
        >>> y = torch.cat([x[:, :1], torch.randn(1000, 1)], 1)  # one column in common
        >>> canonical = canonical_directions(x, y)
        >>> [round(value, 1) for value in canonical.correlations.tolist()]
        [1.0, 0.0]
    """

    x: Tensor
    y: Tensor
    correlations: Tensor
    mean_x: Tensor
    mean_y: Tensor

    def weighted(self, x: Tensor, y: Tensor, m: int | None = None) -> tuple[Tensor, Tensor]:
        """Return rows of x and of y along the first m directions, `(*R, n, m)` each, for retrieval by cosine.

        The weights are the fourth power of the correlations; None as m takes all directions.
        """
        weights = self.correlations[..., None, :m] ** 4
        return (
            (x - self.mean_x) @ self.x[..., :m] * weights,
            (y - self.mean_y) @ self.y[..., :m] * weights,
        )


@torch.no_grad()
def principal_directions(x: Rows) -> Tensor:
    """Return a basis `(*R, d, d)`, float64, whose first m columns keep the most of Σ |row|² for every m.

    The columns are orthonormal: eigenvectors of the second moment, uncentred because cosines are about the origin.
    NaN where a value is not finite.

    Args:
        x: `(*R, n, d)`.

    Raises:
        ValueError: no row or no column.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import principal_directions
        >>> x = torch.tensor([[0.0, 3.0], [1.0, 0.0], [0.0, -3.0]])
        >>> principal_directions(x).abs().round(decimals=3).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    x = as_points(x, "x")
    if x.ndim < 2 or 0 in x.shape[-2:]:
        raise ValueError(f"x must be (*R, n, d) and not empty, got shape {tuple(x.shape)}")
    rows, finite = _finite(x)
    largest = torch.linalg.vector_norm(rows, math.inf, (-2, -1), keepdim=True)
    rows.div_(largest.clamp_min(torch.finfo(torch.float64).tiny))
    basis = torch.linalg.eigh(rows.mT @ rows).eigenvectors.flip(-1)
    return basis.where(finite[..., None, None], math.nan)


@torch.no_grad()
def canonical_directions(x: Rows, y: Rows, ridge: float = 1e-3) -> CanonicalDirections:
    """Find canonical directions by regularised canonical correlation analysis (Hotelling 1936; Vinod 1976).

    With C the covariances, W = (C + ridge · (tr C / d) · I)^(−1/2) of each modality and U S Vᵀ the singular value
    decomposition of W_x C_xy W_y, the directions are W_x U and W_y V and the correlations S.

    Args:
        x, y: representations, `(*R, n, d_x)` and `(*R, n, d_y)`; row i of x and row i of y are a pair.
        ridge: regularisation relative to the mean variance of a column; 0 is the unregularised analysis, for many
            more rows than columns.

    Returns:
        The directions and their correlations; NaN where a value is not finite.

    Raises:
        ValueError: x and y differ in replicates or rows, fewer than two rows, or a negative ridge.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import canonical_directions
        >>> _ = torch.manual_seed(0)
        >>> x, turn = torch.randn(1000, 3), torch.randn(3, 3)
        >>> [round(value, 1) for value in canonical_directions(x, x @ turn).correlations.tolist()]
        [1.0, 1.0, 1.0]
    """
    check_same_index({"x": x, "y": y})
    x, y = as_points(x, "x"), as_points(y, "y")
    if x.ndim < 2 or x.shape[:-1] != y.shape[:-1] or x.shape[-2] < 2 or 0 in (x.shape[-1], y.shape[-1]):
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"x and y must be (*R, n, d_x) and (*R, n, d_y) with n >= 2, got shapes {shapes}")
    if not ridge >= 0:
        raise ValueError(f"ridge must not be negative, got {ridge}")
    (x, finite_x), (y, finite_y) = _finite(x), _finite(y)
    scale_x, scale_y = scale_of(x), scale_of(y)
    x.div_(scale_x)
    y.div_(scale_y)
    mean_x, mean_y = x.mean(-2, keepdim=True), y.mean(-2, keepdim=True)
    x.sub_(mean_x)
    y.sub_(mean_y)
    whiten_x, whiten_y = _inverse_root(x, ridge), _inverse_root(y, ridge)
    left, values, right = torch.linalg.svd(
        whiten_x @ (x.mT @ y / x.shape[-2]) @ whiten_y, full_matrices=False
    )
    results = (
        whiten_x @ left / scale_x,
        whiten_y @ right.mT / scale_y,
        values[..., None],
        mean_x * scale_x,
        mean_y * scale_y,
    )
    both = (finite_x & finite_y)[..., None, None]
    at_x, at_y, correlations, mean_x, mean_y = (part.where(both, math.nan) for part in results)
    return CanonicalDirections(at_x, at_y, correlations.squeeze(-1), mean_x, mean_y)


def _finite(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return a copy of the rows in float64, zeros in replicates that are not finite, and which are, `(*R,)`."""
    finite = rows.isfinite().all(-1).all(-1)
    copy = rows.to(torch.float64, copy=True)
    if not bool(finite.all()):
        copy.masked_fill_(~finite[..., None, None], 0.0)
    return copy, finite


def _inverse_root(rows: Tensor, ridge: float) -> Tensor:
    """Return (C + ridge tr C / d)^(−1/2) of centred rows, `(*R, d, d)`, without directions that do not vary."""
    n, d = rows.shape[-2:]
    values, vectors = torch.linalg.eigh(rows.mT @ rows / n)
    varies = values > d * torch.finfo(torch.float64).eps * values[..., -1:]
    values = values + ridge * values.sum(-1, keepdim=True) / d
    roots = values.rsqrt().where(varies, 0.0)
    return vectors * roots[..., None, :] @ vectors.mT
