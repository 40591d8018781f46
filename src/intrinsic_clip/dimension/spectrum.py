"""Linear dimensions: estimators from the spectrum of second moments.

They count the linear directions over which points spread, so that a curve through ten columns has ten; the
neighbour-based estimators count the coordinates that it takes to move among the points. Values are those of the
sample: the spectrum of n rows has at most n − 1 directions.
"""

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows, as_points
from intrinsic_clip.dimension.display import in_replicates
from intrinsic_clip.dimension.estimate import DimensionEstimate
from intrinsic_clip.dimension.percentages import components_name
from intrinsic_clip.dimension.scaling import exponent_of

SAME = 1e-12  # shares of variance this close count as equal: they differ by rounding


class Moments(NamedTuple):
    """Second moments of n rows, scaled by 2^−exponent, along their q principal directions.

    Attributes:
        values: mean squares, largest first except those that are zero up to rounding, `(q,)`.
        squares: every row's squared coordinates, whose means are the values, `(n, q)`.
        exponent: exponent of the scale.
        dims: columns that are not all zero (after centring, if the rows were centred).
    """

    values: Tensor
    squares: Tensor
    exponent: int
    dims: int


class SecondMoments:
    """Second moments of points, decomposed once for all estimators that are given them in place of the points.

    Args:
        points: `(*R, n, d)`.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension.spectrum import SecondMoments, components, participation_ratio
        >>> moments = SecondMoments(torch.eye(9))
        >>> [round(float(estimate(moments).value), 3) for estimate in (participation_ratio, components)]
        [8.0, 8.0]
    """

    def __init__(self, points: Rows) -> None:
        self.points = as_points(points)
        self._decomposed: dict[bool, list[Moments | int]] = {}

    @torch.no_grad()
    def decomposed(self, centre: bool) -> list[Moments | int]:
        """Return the moments of each replicate, or how many finite rows it has where those are fewer than two."""
        if centre not in self._decomposed:
            *replicates, n, d = self.points.shape
            flat = self.points.reshape(math.prod(replicates), n, d)
            finite = (rows[rows.isfinite().all(-1)] for rows in flat)
            self._decomposed[centre] = [
                _moments(rows.double(), centre) if len(rows) > 1 else len(rows) for rows in finite
            ]
        return self._decomposed[centre]

    def left_out(self) -> int:
        """Return how many rows of all replicates hold NaN or infinity."""
        finite = self.points.isfinite().all(-1)
        return finite.numel() - int(finite.sum())


def spectrum(points: Rows | SecondMoments) -> Tensor:
    """Return the eigenvalues of the covariance, largest first, in squared units of the points.

    They are `explained_variance_` of scikit-learn's PCA (sums of squares over n − 1), with zeros up to d.
    Rows with NaN or infinity are left out; duplicates count as often as they occur.

    Args:
        points: `(*R, n, d)`, any floating-point type, or their second moments.

    Returns:
        `(*R, d)` float64; NaN where there are fewer than two finite rows.

    Raises:
        ValueError: fewer than two axes, no column, or no real numbers.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import spectrum
        >>> spectrum(torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 2.0], [4.0, 2.0]])).round(decimals=3).tolist()
        [5.333, 1.333]
    """
    moments = points if isinstance(points, SecondMoments) else SecondMoments(points)
    d = moments.points.shape[-1]

    def variances(moments: Moments) -> Tensor:
        n, count = moments.squares.shape
        scale = 2.0 ** min(moments.exponent, 1023)  # used twice, since its square may be no number
        values = moments.values.sort(descending=True).values
        return torch.nn.functional.pad(values * (n / (n - 1)) * scale * scale, (0, d - count))

    return _per_replicate(moments, variances, d, centre=True, collapsed=None)[0]


def participation_ratio(points: Rows | SecondMoments) -> DimensionEstimate:
    """Estimate (Σ λ)² / Σ λ² of the covariance's eigenvalues: d if all are equal, 1 if one has all variance.

    Gao and others, *A theory of multineuronal dimensionality, dynamics and measurement*, bioRxiv 214262, 2017;
    the value is that of `skdim.id.lPCA(ver="participation_ratio")`. With C the covariance, z a centred row and
    V the value, a row moves V by V (2 (|z|² − tr C) / tr C − 2 (zᵀ C z − tr C²) / tr C²) / n to first order,
    and the standard error is the standard deviation of that over the rows, times √n. It ignores the bias, by
    which the value is too small by about V² / n for Gaussian points.

    Args:
        points: `(*R, n, d)`, or their second moments. Rows with NaN or infinity are left out with a warning;
            duplicates are not, since moments weigh every row.

    Returns:
        Value and standard error `(*R,)`; NaN with a reason where all rows are equal or there are fewer than
        two; one column that varies is dimension 1. There is no pointwise estimate.

    Raises:
        ValueError: fewer than two axes, no column, or no real numbers.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import participation_ratio
        >>> _ = torch.manual_seed(0)
        >>> points = torch.randn(5000, 4) @ torch.randn(4, 30)  # 4 dimensions of unequal variance in 30 columns
        >>> round(float(participation_ratio(points).value), 1)
        3.4
    """

    return _conclude(points, participation_of, centre=True, name="participation_ratio")


def effective_rank(points: Rows | SecondMoments, center: bool = False) -> DimensionEstimate:
    """Estimate the effective rank: exp of the entropy of the singular values, each divided by their sum.

    Roy, Vetterli, *The effective rank: a measure of effective dimensionality*, EUSIPCO 2007, definition 1; of
    an embedding matrix it is RankMe (Garrido and others, *RankMe: assessing the downstream performance of
    pretrained self-supervised representations by their rank*, ICML 2023) without the 1e-7 added there to each
    share. As in both, the matrix is not centred by default, so a mean far from zero is one large
    singular value. With s the singular values over √n, p their shares and H the entropy, a row with
    coordinates c moves s_k by (c_k² − s_k²) / (2 s_k n) and the value V by −V Σ_k ds_k (log p_k + H) / Σ s to
    first order; the standard error is the standard deviation of that over the rows, times √n.

    Args:
        points: `(*R, n, d)`, or their second moments. Rows with NaN or infinity are left out with a warning;
            duplicates are not, since moments weigh every row.
        center: subtract the mean first, to make it a dimension of the spread about it.

    Returns:
        Value and standard error `(*R,)`; NaN with a reason where all singular values are zero or there are
        fewer than two rows; one column is dimension 1. There is no pointwise estimate.

    Raises:
        ValueError: fewer than two axes, no column, or no real numbers.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import effective_rank
        >>> _ = torch.manual_seed(0)
        >>> points = torch.randn(5000, 4) @ torch.randn(4, 30)  # 4 dimensions of unequal variance in 30 columns
        >>> round(float(effective_rank(points).value), 1)
        3.9
    """

    return _conclude(points, rank_of, centre=center, name="effective_rank")


def components(points: Rows | SecondMoments, variance: float = 0.95) -> DimensionEstimate:
    """Count the fewest principal components that hold a share of the variance.

    Fukunaga, *Introduction to statistical pattern recognition*, 1990, section 9.1; the value is that of
    `skdim.id.lPCA(ver="ratio", alphaRatio=variance)`, but a share missed by rounding only counts as held.
    The value is a quantile of the spectrum, so its standard error is that of the share F the components hold,
    over the share p of the last of them: with c a row's coordinates and tr C the total variance, a row moves F
    by (Σ_{j≤k} c_j² − F |c|²) / (n tr C). It ignores that the value changes in steps, and with few rows per
    column it is too large (up to 1.8 times the spread on heavy-tailed samples of n = 2 d).

    Args:
        points: `(*R, n, d)`, or their second moments. Rows with NaN or infinity are left out with a warning;
            duplicates are not, since moments weigh every row.
        variance: the share, between 0 and 1, both excluded.

    Returns:
        Value (a whole number) and standard error `(*R,)`; NaN with a reason where all rows are equal or there
        are fewer than two; one column that varies is dimension 1. There is no pointwise estimate.

    Raises:
        ValueError: a share outside (0, 1), fewer than two axes, no column, or no real numbers.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import components
        >>> _ = torch.manual_seed(0)
        >>> points = torch.randn(5000, 4) @ torch.randn(4, 30)  # 4 dimensions in 30 columns
        >>> [int(components(points, share).value) for share in (0.5, 0.999)]
        [2, 4]
    """
    if not 0 < variance < 1:
        raise ValueError(f"variance must lie between 0 and 1, got {variance}")

    formula = partial(count_of, variance=variance)
    return _conclude(points, formula, centre=True, name=components_name(variance))


def participation_of(moments: Moments) -> tuple[Tensor, Tensor]:
    """Return (Σ λ)² / Σ λ², and n times each row's influence on it."""
    values, squares = moments.values, moments.squares
    total, total_square = values.sum(), values.square().sum()
    value = total.square() / total_square
    return value, 2 * value * (squares.sum(-1) / total - squares @ values / total_square)


def rank_of(moments: Moments) -> tuple[Tensor, Tensor]:
    """Return exp of the entropy of the shares of the singular values, and n times each row's influence on it."""
    singular = moments.values.sqrt()
    shares = singular / singular.sum()
    logs = shares.where(shares > 0, 1.0).log()
    entropy = -(shares * logs).sum()
    weights = ((logs + entropy) / (2 * singular * singular.sum())).where(shares > 0, 0.0)
    return entropy.exp(), entropy.exp() * (moments.values @ weights - moments.squares @ weights)


def count_of(moments: Moments, variance: float) -> tuple[Tensor, Tensor]:
    """Return the fewest components that hold a share of the variance, and n times each row's influence on it."""
    shares = moments.values / moments.values.sum()
    held = shares.cumsum(0)
    last = int((held < variance - SAME).sum())
    within = moments.squares[:, : last + 1].sum(-1) - held[last] * moments.squares.sum(-1)
    return shares.new_tensor(last + 1), within / (moments.values.sum() * shares[last])


def _conclude(
    points: Rows | SecondMoments,
    formula: Callable[[Moments], tuple[Tensor, Tensor]],
    centre: bool,
    name: str,
) -> DimensionEstimate:
    """Estimate by a formula that gives, for one replicate, the value and n times each row's influence on it."""

    def with_error(moments: Moments) -> Tensor:
        if moments.dims == 1:
            return moments.values.new_tensor([1.0, 0.0])
        value, influence = formula(moments)
        return torch.stack([value, influence.std() / math.sqrt(len(influence))])

    moments = points if isinstance(points, SecondMoments) else SecondMoments(points)
    collapsed = "all rows are equal" if centre else "all rows are zero"
    both, reason = _per_replicate(moments, with_error, 2, centre, collapsed)
    n = moments.points.shape[-2]
    return DimensionEstimate(both[..., 0], both[..., 1], None, n=n, k=None, reason=reason, name=name)


@torch.no_grad()
def _per_replicate(
    moments: SecondMoments,
    formula: Callable[[Moments], Tensor],
    size: int,
    centre: bool,
    collapsed: str | None,
) -> tuple[Tensor, str | None]:
    """Apply the formula to each replicate; return the results, `(*R, size)`, and why some are NaN.

    With `collapsed`, the reason to report for them, replicates without any direction are NaN too.
    """
    points = moments.points
    by_replicate = moments.decomposed(centre)
    results = torch.full((len(by_replicate), size), math.nan, dtype=torch.float64, device=points.device)
    too_few, without_direction = [], 0
    for r, each in enumerate(by_replicate):
        if isinstance(each, int):
            too_few.append(each)
        elif collapsed and each.dims == 0:
            without_direction += 1
        else:
            results[r] = formula(each)

    reasons, total = [], math.prod(points.shape[:-2])
    if too_few:
        needed = f"needs at least 2 finite rows, got {min(too_few)}"
        reasons.append(in_replicates(needed, len(too_few), total))
    if collapsed and without_direction:
        reasons.append(in_replicates(collapsed, without_direction, total))
    left_out, rows = moments.left_out(), math.prod(points.shape[:-1])
    notes = [f"{left_out} of {rows} points hold NaN or infinity and were left out"] if left_out else []
    if notes or reasons:
        warnings.warn("; ".join(notes + reasons), stacklevel=5)
    return results.reshape(*points.shape[:-2], size), "; ".join(reasons) or None


def _moments(rows: Tensor, centre: bool) -> Moments:
    """Compute the moments of finite float64 rows, `(n, d)`."""
    rows, first = _scaled(rows)
    if centre:
        rows = rows - rows[0]  # first, so that a constant column is zero, which rounding of its mean prevents
        rows -= rows.mean(0)
    rows, second = _scaled(rows)
    dims = int((rows != 0).any(0).sum())
    if len(rows) < rows.shape[1]:
        rows = torch.linalg.qr(rows.mT, mode="r").R.mT  # coordinates in an orthonormal basis of their span
    # Taken as eigenvalues they would be right to rounding of the largest only: √λ to 1e-8 of it, not 1e-16.
    squares = (rows @ torch.linalg.eigh(rows.mT @ rows).eigenvectors.flip(-1)).square_()
    return Moments(squares.mean(0), squares, first + second, dims)


def _scaled(rows: Tensor) -> tuple[Tensor, int]:
    """Return the rows in units of 2^exponent, in which they can be squared, and the exponent."""
    exponent = exponent_of(rows)
    return rows * 2.0**-exponent, exponent
