"""Linear dimensions from a mean and a covariance that were added up block by block."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from intrinsic_clip.dimension.estimate import DimensionEstimate
from intrinsic_clip.dimension.percentages import components_name
from intrinsic_clip.dimension.spectrum import Moments, count_of, participation_of, rank_of


def linear_dimensions(
    covariance: Tensor, mean: Tensor, sample: Tensor, n: int, dims: int, shares: Sequence[float]
) -> tuple[dict[str, DimensionEstimate], Tensor]:
    """Return what `participation_ratio`, `effective_rank` and `components` say of n rows, and the variances.

    Values are those of all rows: singular values that are smaller than 1e-8 of the largest are lost in the rounding of
    their squares. Standard errors take the spread of the rows' influences from a sample of the rows.

    Args:
        covariance: of all rows, sums of squares over n, float64 `(d, d)`.
        mean: of all rows, float64 `(d,)`.
        sample: some rows, drawn at random, `(m, d)`.
        n: number of all rows.
        dims: columns that vary.
        shares: of the variance, for `components`.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension.spectrum_of_moments import linear_dimensions
        >>> rows = torch.randn(1000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        >>> covariance = torch.cov(rows.T, correction=0)
        >>> estimates, _ = linear_dimensions(covariance, rows.mean(0), rows[:100], 1000, 3, [0.9])
        >>> round(float(estimates["participation_ratio"].value), 1)
        3.0
    """
    rows = sample.double()
    centred = _moments(covariance, rows - mean, dims)
    raw = _moments(covariance + torch.outer(mean, mean), rows, dims)
    formulas: dict[str, tuple[Moments, Callable[[Moments], tuple[Tensor, Tensor]]]] = {
        "participation_ratio": (centred, participation_of),
        "effective_rank": (raw, rank_of),
        **{components_name(share): (centred, partial(count_of, variance=share)) for share in shares},
    }
    estimates = {name: _estimate(name, *pair, n) for name, pair in formulas.items()}
    return estimates, centred.values * (n / (n - 1))


def _moments(products: Tensor, rows: Tensor, dims: int) -> Moments:
    values, axes = torch.linalg.eigh(products)
    return Moments(values.flip(0).clamp_min(0), (rows @ axes.flip(1)).square_(), 0, dims)


def _estimate(
    name: str, moments: Moments, formula: Callable[[Moments], tuple[Tensor, Tensor]], n: int
) -> DimensionEstimate:
    if not float(moments.values.sum()) > 0:
        reason = "all rows are zero" if name == "effective_rank" else "all rows are equal"
        nan = torch.tensor(math.nan, dtype=torch.float64)
        return DimensionEstimate(nan, nan, None, n, None, reason, name)
    if moments.dims == 1:
        one = torch.ones((), dtype=torch.float64)
        return DimensionEstimate(one, 0 * one, None, n, None, None, name)
    value, influence = formula(moments)
    return DimensionEstimate(value, influence.std() / math.sqrt(n), None, n, None, None, name)
