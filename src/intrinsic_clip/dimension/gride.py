"""The generalised ratios estimator, Gride, of Denti, Doimo, Laio and Mira."""

import math

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows, as_points, whole_number
from intrinsic_clip.dimension.estimate import RESOLUTION, DimensionEstimate, conclude
from intrinsic_clip.dimension.neighbours import Neighbours, as_neighbours, nearest_neighbours
from intrinsic_clip.dimension.pointwise import nanquantile
from intrinsic_clip.dimension.queries import Queries
from intrinsic_clip.dimension.registry import estimator
from intrinsic_clip.dimension.scale import ScaleCurve

TIED = (
    "fewer than 2 points have their two neighbours at different distances, so the likelihood has no maximum"
)


@estimator(neighbours=2, on_all_rows=True)
def gride(
    points: Rows | Neighbours,
    n1: int = 1,
    n2: int | None = None,
    *,
    queries: Queries = None,
    seed: int = 0,
) -> DimensionEstimate:
    """Estimate the dimension by maximum likelihood from the ratio μ = R_n2 / R_n1 of two neighbours' distances.

    In m dimensions of uniform density μ has the density

        m (μ^m − 1)^(n2 − n1 − 1) / (B(n2 − n1, n1) μ^((n2 − 1) m + 1)),   μ > 1

    (Denti, Doimo, Laio, Mira, *The generalized ratios intrinsic dimension estimator*, Scientific Reports 12,
    2022). The estimate is the root of its score over N points, with N − 1 in place of N in the term N / m,
    which makes it unbiased for n1 = 1, n2 = 2. A larger n1 looks at larger distances, past noise of short
    range. Values and errors are those of `skdim.id.GRIDE(n1, n2).fit(points)`, as DADApy has them: points
    whose two neighbours are equally far are left out, and so are those with μ above q50 + 20 (q95 − q50), of
    the quantiles of all μ. Three exceptions: points in one varying column have dimension 1 by definition,
    duplicates count once where scikit-dimension leaves the points that have one out, and μ equal to that
    bound stays, so that ratios that are all equal have an estimate.

    The standard error is 1 / √information, of the information observed in N independent ratios. It ignores
    that ratios of neighbouring points depend on each other (on samples of 2 to 5 dimensions the actual spread
    was 1.1 to 1.4 times as large for n1 up to 2, and 1.3 to 2 times for n1 = 16), and all bias.

    Args:
        points: `(*R, n, d)`, or their neighbours, of which the first n2 are used.
        n1: the nearer neighbour; at least 1.
        n2: the farther neighbour; None: 2 n1.
        queries, seed: as for `nearest_neighbours`: ask only some of the points, drawn at random, for their neighbours
            among all; the estimate then says in `query_error` what that costs.

    Returns:
        Value and standard error `(*R,)`, and n2 as k; NaN with a reason where no estimate exists. There is no
        pointwise estimate.

    Raises:
        ValueError: not 1 ≤ n1 < n2, or fewer than n2 neighbours given.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import gride
        >>> _ = torch.manual_seed(0)
        >>> points = torch.rand(1000, 2) @ torch.rand(2, 10)  # a plane in 10 columns
        >>> round(float(gride(points, n1=2).value), 1)
        1.9
    """
    n1 = whole_number("n1", n1, 1)
    n2 = 2 * n1 if n2 is None else n2
    n2 = whole_number("n2", n2, n1 + 1)
    neighbours = as_neighbours(points, n2, queries, seed)
    log_ratios = neighbours.distances[..., n2 - 1].log() - neighbours.distances[..., n1 - 1].log()
    log_ratios = log_ratios.masked_fill(~(log_ratios > RESOLUTION), math.nan)
    ratios = log_ratios.exp()
    q50, q95 = (nanquantile(ratios, q)[..., None] for q in (0.5, 0.95))
    log_ratios = log_ratios.masked_fill(ratios > q50 + 20 * (q95 - q50), math.nan)
    value, information = _maximise(log_ratios, n1, n2)
    at = value[..., None]
    scores = 1 / at - (n2 - n1 - 1) * log_ratios / torch.expm1(-at * log_ratios) - (n2 - 1) * log_ratios
    spread = scores.square().nansum(-1).sqrt() / information
    return conclude(neighbours, n2, value, information.rsqrt(), None, TIED, "gride", spread)


def gride_scales(points: Rows | Neighbours, range_max: int = 64) -> ScaleCurve:
    """Estimate the dimension against scale: Gride at n1 = 1, 2, 4, …, each with n2 = 2 n1 up to range_max.

    The scales are those of `skdim.id.GRIDE(multiscale=True)`. Unlike in `sample_size_curve`, every scale uses
    all points, so the error does not grow with the scale.

    Args:
        points: `(*R, n, d)`, or their neighbours.
        range_max: the farthest neighbour to use; at least 2. The curve ends earlier where there are fewer.

    Returns:
        The curve `(*R, s)` at the s values of n1, with the mean distance to the n2-th neighbour as radius. A
        replicate with too few distinct points for the larger scales has NaN there, and a reason.

    Raises:
        ValueError: range_max below 2, or only one neighbour given.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import gride_scales
        >>> _ = torch.manual_seed(0)
        >>> points = torch.rand(1000, 2) @ torch.rand(2, 10)  # a plane in 10 columns
        >>> curve = gride_scales(points)
        >>> curve.at
        (1, 2, 4, 8, 16, 32)
        >>> [round(value, 1) for value in curve.value.tolist()]
        [2.1, 1.9, 2.0, 1.8, 1.9, 1.8]
    """
    range_max = whole_number("range_max", range_max, 2)
    if not isinstance(points, Neighbours):
        points = as_points(points)
        points = nearest_neighbours(points, max(2, min(range_max, points.shape[-2] - 1)))
    neighbours = as_neighbours(points, 2)
    reach = min(range_max, neighbours.k)
    at = tuple(2**j for j in range(reach.bit_length() - 1))
    estimates = [gride(neighbours, n1) for n1 in at]
    value = torch.stack([e.value for e in estimates], -1)
    standard_error = torch.stack([e.standard_error for e in estimates], -1)
    radius = torch.stack([neighbours.distances[..., 2 * n1 - 1].nanmean(-1) for n1 in at], -1)

    for replicate in (~neighbours.valid.any(-1)).nonzero():
        rows = neighbours.points[tuple(replicate)]
        distinct = len(torch.unique(rows[rows.isfinite().all(-1)], dim=0))
        available = min(distinct, reach) - 1
        if available >= 2:
            shorter = gride_scales(rows, available)
            assert shorter.radius is not None
            into = (*replicate, slice(len(shorter.at)))
            value[into], standard_error[into] = shorter.value, shorter.standard_error
            radius[into] = shorter.radius
    reasons = dict.fromkeys(e.reason for e in estimates if e.reason)
    return ScaleCurve(at, value, standard_error, radius, neighbours.n, "; ".join(reasons) or None)


def _maximise(log_ratios: Tensor, n1: int, n2: int) -> tuple[Tensor, Tensor]:
    """Maximise the likelihood of `(*R, n)` log μ, NaN left out; return the maximum's place and information.

    With L = log μ and b = n2 − n1 − 1 the score is (N − 1) / m + b Σ L / (1 − exp(−m L)) − (n2 − 1) Σ L. It
    is convex, falls from ∞ to −n1 Σ L, and is not negative at (N − 1) / (n1 Σ L), because L / (1 − exp(−m L))
    ≥ L: Newton's steps from there rise to the root and never pass it.
    """
    between = n2 - n1 - 1
    count = (~log_ratios.isnan()).sum(-1).double()
    total = log_ratios.nansum(-1)
    value = ((count - 1) / (n1 * total)).where(count >= 2, math.nan)

    def curvature(at: Tensor) -> Tensor:
        """Return Σ −d/dm of L / (1 − exp(−m L))."""
        return (log_ratios / (2 * torch.sinh(at[..., None] * log_ratios / 2))).square().nansum(-1)

    if between:  # else that lower bound is the root
        for _ in range(100):
            growth = (log_ratios / -torch.expm1(-value[..., None] * log_ratios)).nansum(-1)
            score = (count - 1) / value + between * growth - (n2 - 1) * total
            step = score / ((count - 1) / value.square() + between * curvature(value))
            value = value + step
            if not (step.abs() > 1e-13 * value).any():
                break
    return value, count / value.square() + between * curvature(value)
