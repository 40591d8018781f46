"""The manifold-adaptive estimator of Farahmand, Szepesvári and Audibert."""

import math

from intrinsic_clip.dimension.arrays import Rows, whole_number
from intrinsic_clip.dimension.estimate import DimensionEstimate, conclude
from intrinsic_clip.dimension.neighbours import Neighbours, as_neighbours
from intrinsic_clip.dimension.pointwise import Combine, check_combine, combined
from intrinsic_clip.dimension.queries import Queries
from intrinsic_clip.dimension.registry import estimator

TIED = (
    "the k-th neighbour of some points is no farther than the k/2-th, as on a grid, so the mean is infinite"
)


@estimator(neighbours="k")
def mada(
    points: Rows | Neighbours,
    k: int = 20,
    combine: Combine = "mean",
    *,
    queries: Queries = None,
    seed: int = 0,
) -> DimensionEstimate:
    """Estimate the dimension from how much farther twice as many neighbours reach.

    With R_j the distance of a point to its j-th neighbour, the estimate at the point is

        log 2 / log(R_k / R_⌊k/2⌋)

    (Farahmand, Szepesvári, Audibert, *Manifold-adaptive dimension estimation*, ICML 2007), log 2 for odd k
    too. Values are those of `skdim.id.MADA().fit(points, n_neighbors=k, comb=combine)`, with two exceptions:
    points in one varying column have dimension 1 by definition, and duplicates count once where
    scikit-dimension puts them as far away as the farthest point.

    The standard error is that of `combined`: sd / √n for the mean. It ignores that neighbourhoods overlap,
    so that the estimates at near points are alike (on samples of 2 to 5 dimensions the actual spread was 1.1
    to 1.3 times as large), and all bias: the mean of few ratios is too large, and boundaries make it too
    small.

    Args:
        points: `(*R, n, d)`, or their neighbours, of which the first k are used.
        k: neighbours per point; at least 2.
        combine: how the pointwise estimates become one.
        queries, seed: as for `nearest_neighbours`: ask only some of the points, drawn at random, for their neighbours
            among all; the estimate then says in `query_error` what that costs.

    Returns:
        Value and standard error `(*R,)` and pointwise `(*R, n)`; NaN with a reason where no estimate exists.

    Raises:
        ValueError: k too small, an unknown `combine`, or fewer than k neighbours given.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import mada
        >>> _ = torch.manual_seed(0)
        >>> points = torch.rand(1000, 2) @ torch.rand(2, 10)  # a plane in 10 columns
        >>> round(float(mada(points).value), 1)
        2.0
    """
    k = whole_number("k", k, 2)
    check_combine(combine)
    neighbours = as_neighbours(points, k, queries, seed)
    logs = neighbours.distances.log()
    pointwise = math.log(2) / (logs[..., k - 1] - logs[..., k // 2 - 1])
    value, standard_error = combined(pointwise, combine)
    return conclude(neighbours, k, value, standard_error, pointwise, TIED, "mada", standard_error)
