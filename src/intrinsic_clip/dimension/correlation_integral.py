"""The correlation dimension of Grassberger and Procaccia, between two radii."""

import math

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows, whole_number
from intrinsic_clip.dimension.estimate import RESOLUTION, DimensionEstimate, conclude
from intrinsic_clip.dimension.neighbourhoods import distinct_points
from intrinsic_clip.dimension.neighbours import Neighbours, as_neighbours
from intrinsic_clip.dimension.pointwise import nanmedian
from intrinsic_clip.dimension.registry import estimator

TIE = 1e-12  # relative: distances this close to a radius count as equal to it

NO_SLOPE = "the two radii are equal or no pair is closer than the smaller one, as on a grid"


@estimator(neighbours=20)
def correlation_integral(
    points: Rows | Neighbours, k1: int = 10, k2: int = 20, *, block_bytes: int = 2**26
) -> DimensionEstimate:
    """Estimate the dimension from how the number of pairs within a distance grows with that distance.

    With C(r) the share of pairs of points closer than r, the estimate is

        log(C(r_2) / C(r_1)) / log(r_2 / r_1)

    (Grassberger, Procaccia, *Measuring the strangeness of strange attractors*, Physica D 9, 1983), the radii
    being the medians over the points of the distances to the k1-th and to the k2-th neighbour. Values are
    those of `skdim.id.CorrInt(k1, k2).fit(points)`, with three exceptions: points in one varying column have
    dimension 1 by definition, duplicates count once, and pairs exactly r apart, which occur if n is odd,
    are not counted, where in scikit-dimension rounding decides.

    The standard error is the standard deviation of a U-statistic, the mean over all pairs of h = 1(< r_2) /
    C(r_2) − 1(< r_1) / C(r_1), divided by log(r_2 / r_1) (Hoeffding, *A class of statistics with
    asymptotically normal distribution*, 1948):

        √((4 ζ_1 + 2 ζ_2 / (n − 1)) / n),   ζ_2 = 1 / C(r_1) − 1 / C(r_2),

    with ζ_2 the variance of h, and ζ_1 that of a point's own mean of h, less ζ_2 / (n − 1) for having only n −
    1 pairs. The second term is the larger one on uniform samples. It takes the radii as fixed numbers (on
    samples of 2 to 5 dimensions the actual spread was 0.9 to 1.1 times as large) and ignores all bias:
    curvature, noise, boundaries.

    Args:
        points: `(*R, n, d)`, or their neighbours, of which the first k2 are used.
        k1, k2: the neighbours whose distances set the radii, 1 ≤ k1 < k2.
        block_bytes: about the most memory for one block of distances.

    Returns:
        Value and standard error `(*R,)`, and k2 as k; NaN with a reason where no estimate exists. There is no
        pointwise estimate.

    Raises:
        ValueError: not 1 ≤ k1 < k2, or fewer than k2 neighbours given.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import correlation_integral
        >>> _ = torch.manual_seed(0)
        >>> points = torch.rand(1000, 2) @ torch.rand(2, 10)  # a plane in 10 columns
        >>> round(float(correlation_integral(points).value), 1)
        1.9
    """
    k1 = whole_number("k1", k1, 1)
    k2 = whole_number("k2", k2, k1 + 1)
    neighbours = as_neighbours(points, k2)
    radii = torch.stack([nanmedian(neighbours.distances[..., k - 1]) for k in (k1, k2)], -1)
    value = torch.full_like(radii[..., 0], math.nan)
    standard_error = value.clone()
    for distinct in distinct_points(neighbours):
        r, n = distinct.replicate, len(distinct.rows)
        shares = _count_within(distinct.points, radii[r] * 2.0**-distinct.exponent, block_bytes).double()
        shares /= n - 1
        mean = shares.mean(-1)
        log_ratio = radii[r].log().diff()[0]
        log_ratio = torch.where(log_ratio <= RESOLUTION, 0.0, log_ratio)
        value[r] = mean.log().diff()[0] / log_ratio
        pair_variance = (1 / mean[0] - 1 / mean[1]) / (n - 1)
        point_variance = ((shares / mean[:, None]).diff(dim=0).var() - pair_variance).clamp_min(0)
        standard_error[r] = ((4 * point_variance + 2 * pair_variance) / n).sqrt() / log_ratio
    return conclude(neighbours, k2, value, standard_error, None, NO_SLOPE, "correlation_integral")


def _count_within(points: Tensor, radii: Tensor, block_bytes: int) -> Tensor:
    """Count, for each of the points `(m, d)`, the others closer than each of two radii, int64 `(2, m)`.

    Matrix products decide wherever their rounding error, bounded as in the search for neighbours, leaves no
    doubt, and differences elsewhere. Each pair is computed once.
    """
    m, d = points.shape
    centred = points - points.mean(0)
    squares = centred.square().sum(-1)
    norms = squares.sqrt()
    counts = torch.zeros(2, m, dtype=torch.int64, device=points.device)
    rows_per_block = max(1, block_bytes // (32 * m))
    for start in range(0, m, rows_per_block):
        stop = min(start + rows_per_block, m)
        squared = torch.addmm(squares[start:], centred[start:stop], centred[start:].T, alpha=-2)
        squared.add_(squares[start:stop, None])
        reach = norms[start:stop, None] + norms[start:].max()
        error = (d + 4) * torch.finfo(squared.dtype).eps * reach.square()
        later = torch.ones_like(squared, dtype=torch.bool).triu_(1)
        for count, radius in zip(counts, radii, strict=True):
            square = radius.square()
            within = (squared < square).logical_and_(later)
            doubtful = ((squared - square).abs_() <= error + 4 * TIE * square).logical_and_(later)
            for pairs in doubtful.nonzero().split(max(1, block_bytes // (24 * d))):
                i, j = pairs.unbind(-1)
                distance = torch.linalg.vector_norm(points[start + i] - points[start + j], dim=-1)
                within[i, j] = distance < radius * (1 - TIE)
            count[start:stop] += within.sum(1)
            count[start:] += within.sum(0)
    return counts
