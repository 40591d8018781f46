"""The maximum-likelihood estimator of Levina and Bickel."""

import math
from dataclasses import replace
from typing import Literal

from intrinsic_clip.dimension.arrays import Rows, whole_number
from intrinsic_clip.dimension.estimate import DimensionEstimate, conclude
from intrinsic_clip.dimension.neighbours import Neighbours, as_neighbours
from intrinsic_clip.dimension.pointwise import combined, nanmedian
from intrinsic_clip.dimension.queries import Queries
from intrinsic_clip.dimension.registry import estimator

EQUIDISTANT = "all neighbours of some points are equally far, as on a grid, so the likelihood has no maximum"


@estimator(neighbours="k", on_all_rows=True)
def mle(
    points: Rows | Neighbours,
    k: int = 20,
    combine: Literal["harmonic", "mean", "median"] = "harmonic",
    unbiased: bool = False,
    *,
    queries: Queries = None,
    seed: int = 0,
) -> DimensionEstimate:
    """Estimate the dimension by maximum likelihood from the distances of the k nearest neighbours.

    With R_j the distance of a point to its j-th neighbour, the estimate at the point is

        (k − 1) / Σ_{j<k} log(R_k / R_j)

    (Levina, Bickel, *Maximum likelihood estimation of intrinsic dimension*, NIPS 2004, eq. 8), and the
    points' estimates are combined by their harmonic mean, which is the maximum-likelihood estimate of all
    points together (MacKay, Ghahramani, *Comments on the above*, 2005). Defaults and values are those of
    `skdim.id.MLE().fit(points)` (its `fit_transform` takes the mean instead), with two exceptions: points in
    one varying column have dimension 1 by definition, and duplicates count once where scikit-dimension gives
    0.

    The standard error takes the n (k − 1) log-ratios as independent, exponential with rate value: for the
    harmonic mean value / √(n (k − 1)), for the mean value / √(n (k − 3)), for the median √(π/2) value / √(n
    (k − 1)). Where the points' estimates clearly differ more than such ratios do, the error of either mean is that of
    `combined`, of points that are independent: with half of the points in 2 and half in 10 dimensions that of the
    ratios was 0.3 of the actual spread. The error ignores that neighbourhoods overlap (for the harmonic mean the
    actual spread was 1.2 to 1.4 times as large on uniform samples of 2 and 5 dimensions, four times on 600 points in
    20 clusters of 10; `block_bootstrap` of `intrinsic_clip.dimension.block_bootstrap` covers it), and all bias:
    curvature, noise, and boundaries, which for many dimensions are the larger error.

    Args:
        points: `(*R, n, d)`, or their neighbours, of which the first k are used.
        k: neighbours per point; at least 2, or 3 if unbiased.
        combine: how the pointwise estimates become one.
        unbiased: k − 2 in place of k − 1, which makes each pointwise estimate unbiased.
        queries, seed: as for `nearest_neighbours`: ask only some of the points, drawn at random, for their neighbours
            among all; the estimate then says in `query_error` what that costs.

    Returns:
        Value and standard error `(*R,)` and pointwise `(*R, n)`; NaN with a reason where no estimate exists.

    Raises:
        ValueError: k too small or not whole, an unknown `combine`, or fewer than k neighbours given.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import mle
        >>> _ = torch.manual_seed(0)
        >>> points = torch.rand(1000, 2) @ torch.rand(2, 10)  # a plane in 10 columns
        >>> estimate = mle(points, k=20)
        >>> round(float(estimate.value), 1), round(float(estimate.standard_error), 2)
        (1.9, 0.02)
    """
    k = whole_number("k", k, 3 if unbiased else 2)
    if combine not in ("harmonic", "mean", "median"):
        raise ValueError(f'combine must be "harmonic", "mean" or "median", got {combine!r}')
    neighbours = as_neighbours(points, k, queries, seed)
    logs = neighbours.distances[..., :k].log()
    inverse = (logs[..., -1:] - logs).sum(-1) / (k - 2 if unbiased else k - 1)
    pointwise = 1 / inverse
    if combine == "harmonic":
        value, freedom = 1 / inverse.nanmean(-1), k - 1.0
    elif combine == "mean":
        value, freedom = pointwise.nanmean(-1), k - 3.0 if k > 3 else math.nan
    else:
        value, freedom = nanmedian(pointwise), (k - 1) * 2 / math.pi
    count = neighbours.valid.sum(-1).double()
    standard_error = value / (count * freedom).sqrt()
    spread = combined(pointwise, combine)[1]
    if combine != "median":  # of which the spread is itself uncertain
        exceeds = spread > standard_error * (1 + 3 * count.rsqrt())  # by more than its own sampling noise
        standard_error = spread.where(exceeds, standard_error)
    return conclude(neighbours, k, value, standard_error, pointwise, EQUIDISTANT, "mle", spread)


@estimator(neighbours="k", on_all_rows=True)
def mean_mle(
    points: Rows | Neighbours, k: int = 20, *, queries: Queries = None, seed: int = 0
) -> DimensionEstimate:
    """Estimate the dimension by `mle` with the mean of the pointwise estimates, as the paper's figures show it.

    It is `skdim.id.MLE().fit_transform(points)`, and larger than their harmonic mean.

    Args:
        points, k, queries, seed: as for `mle`.

    Returns:
        The estimate of `mle(points, k, combine="mean")`.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import mean_mle, mle
        >>> _ = torch.manual_seed(0)
        >>> points = torch.rand(1000, 2) @ torch.rand(2, 10)  # a plane in 10 columns
        >>> bool(mean_mle(points).value > mle(points).value)
        True
    """
    return replace(mle(points, k, combine="mean", queries=queries, seed=seed), name="mean_mle")
