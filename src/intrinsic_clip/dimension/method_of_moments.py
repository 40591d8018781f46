"""The method of moments of Amsaleg and others."""

from intrinsic_clip.dimension.arrays import Rows, whole_number
from intrinsic_clip.dimension.estimate import DimensionEstimate, conclude
from intrinsic_clip.dimension.mle import EQUIDISTANT
from intrinsic_clip.dimension.neighbours import Neighbours, as_neighbours
from intrinsic_clip.dimension.pointwise import Combine, check_combine, combined
from intrinsic_clip.dimension.queries import Queries
from intrinsic_clip.dimension.registry import estimator


@estimator(neighbours="wide")
def method_of_moments(
    points: Rows | Neighbours,
    k: int = 100,
    combine: Combine = "mean",
    *,
    queries: Queries = None,
    seed: int = 0,
) -> DimensionEstimate:
    """Estimate the dimension from the mean distance of the k nearest neighbours.

    In m dimensions the neighbours within distance w are m / (m + 1) · w away on average. With R_j the
    distance of a point to its j-th neighbour, w = R_k and μ the mean of R_1, …, R_k, the estimate at the
    point is

        μ / (w − μ)

    (Amsaleg and others, *Extreme-value-theoretic estimation of local intrinsic dimensionality*, Data Mining
    and Knowledge Discovery 32, 2018, the moment of order 1). Values are those of
    `skdim.id.MOM().fit(points, n_neighbors=k, comb=combine)`, with two exceptions: points in one varying
    column have dimension 1 by definition, and duplicates count once where they count as neighbours at
    distance 0 in scikit-dimension.

    The standard error is that of `combined`: sd / √n for the mean. It ignores that neighbourhoods overlap,
    so that the estimates at near points are alike (on samples of 2 to 5 dimensions the actual spread was 0.9
    to 1.4 times as large for k = 20), and all bias: curvature, noise, boundaries.

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
        >>> from intrinsic_clip.dimension import method_of_moments
        >>> _ = torch.manual_seed(0)
        >>> points = torch.rand(1000, 2) @ torch.rand(2, 10)  # a plane in 10 columns
        >>> round(float(method_of_moments(points).value), 1)
        1.8
    """
    k = whole_number("k", k, 2)
    check_combine(combine)
    neighbours = as_neighbours(points, k, queries, seed)
    distances = neighbours.distances[..., :k]
    mean = (distances / distances[..., -1:]).mean(-1)  # in units of w, so that no sum overflows
    pointwise = mean / (1 - mean).clamp_min(0)
    value, standard_error = combined(pointwise, combine)
    return conclude(
        neighbours, k, value, standard_error, pointwise, EQUIDISTANT, "method_of_moments", standard_error
    )
