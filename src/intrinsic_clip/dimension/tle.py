"""The tight local estimator of Amsaleg and others."""

import math

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows, whole_number
from intrinsic_clip.dimension.estimate import RESOLUTION, DimensionEstimate, conclude
from intrinsic_clip.dimension.mle import EQUIDISTANT
from intrinsic_clip.dimension.neighbourhoods import neighbourhoods
from intrinsic_clip.dimension.neighbours import Neighbours, as_neighbours
from intrinsic_clip.dimension.pointwise import Combine, check_combine, combined
from intrinsic_clip.dimension.queries import Queries
from intrinsic_clip.dimension.registry import estimator

CLOSE = 1e-6  # for a radius of 1: products leave fewer than 10 digits of squared distances below this
PAIR_MATRICES = 12  # k × k matrices per point in memory at a time


@estimator(neighbours="k")
def tle(
    points: Rows | Neighbours,
    k: int = 20,
    epsilon: float = 1e-4,
    combine: Combine = "mean",
    *,
    block_bytes: int = 2**26,
    queries: Queries = None,
    seed: int = 0,
) -> DimensionEstimate:
    """Estimate the dimension from the distances of the k nearest neighbours to the point and to each other.

    Every pair of neighbours x_i, x_j of a point gives two more measurements than their distances: how far x_j
    is from x_i, and from the reflection of x_i in the point, both measured as if the neighbourhood of radius
    r = R_k were centred there. With D_i the distance of x_i to the point and V that of the two, s is the
    solution of

        s = r (√((D_i² + V² − D_j²)² + 4 V² (r² − D_i²)) − (D_i² + V² − D_j²)) / (2 (r² − D_i²)),

    and t the same with Z² = 2 D_i² + 2 D_j² − V² for V². The estimate at the point is the number of
    measurements over −(Σ log(s / r) + Σ log(t / r) + 2 Σ log(D_i / r)) / 2 (Amsaleg, Chelly, Houle,
    Kawarabayashi, Radovanović, Treeratanajaru, *Intrinsic dimensionality estimation within tight localities*,
    SDM 2019). Values are those of `skdim.id.TLE(epsilon).fit(points, n_neighbors=k, comb=combine)`, with four
    exceptions: points in one varying column have dimension 1 by definition; duplicates count once; epsilon is
    relative to r, so that the unit of the points does not matter; and a point whose measurements nearly all
    equal r or are dropped, as if all its neighbours were equally far, is left out where scikit-dimension puts
    a 0 into the mean.

    The standard error is that of `combined`: sd / √n for the mean. It ignores that neighbourhoods overlap, so
    that the estimates at near points are alike (on samples of 2 to 5 dimensions the actual spread was 1.2 to
    1.5 times as large), and all bias: curvature, noise, boundaries.

    Args:
        points: `(*R, n, d)`, or their neighbours, of which the first k are used.
        k: neighbours per point; at least 2.
        epsilon: measurements below this share of r are dropped, s and t of a pair together.
        combine: how the pointwise estimates become one.
        block_bytes: about the most memory for the neighbourhoods worked on at a time.
        queries, seed: as for `nearest_neighbours`: ask only some of the points, drawn at random, for their neighbours
            among all; the estimate then says in `query_error` what that costs.

    Returns:
        Value and standard error `(*R,)` and pointwise `(*R, n)`; NaN with a reason where no estimate exists.

    Raises:
        ValueError: k too small, epsilon outside [0, 1), an unknown `combine`, or fewer than k neighbours
            given.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import tle
        >>> _ = torch.manual_seed(0)
        >>> points = torch.rand(1000, 2) @ torch.rand(2, 10)  # a plane in 10 columns
        >>> round(float(tle(points).value), 1)
        2.1
    """
    k = whole_number("k", k, 2)
    if not 0 <= epsilon < 1:
        raise ValueError(f"epsilon must lie between 0 and 1, got {epsilon}")
    check_combine(combine)
    neighbours = as_neighbours(points, k, queries, seed)
    pointwise = torch.full_like(neighbours.distances[..., 0], math.nan)
    for block in neighbourhoods(neighbours, k, PAIR_MATRICES * k**2, block_bytes):
        pointwise[block.where] = _estimate(block.offsets, epsilon, block_bytes)
    value, standard_error = combined(pointwise, combine)
    return conclude(neighbours, k, value, standard_error, pointwise, EQUIDISTANT, "tle", standard_error)


def _estimate(offsets: Tensor, epsilon: float, block_bytes: int) -> Tensor:
    """Estimate the dimension from each neighbourhood, `(b, k, d)` in units of its radius."""
    k = offsets.shape[-2]
    products = offsets @ offsets.mT
    squares = products.diagonal(dim1=-2, dim2=-1).clamp(max=1.0)
    sums = squares[..., :, None] + squares[..., None, :]
    direct = _resolved(sums - 2 * products, offsets, -1, block_bytes)
    reflected = _resolved(sums + 2 * products, offsets, 1, block_bytes)
    s, t = _measured(squares, direct), _measured(squares, reflected)

    kept = (s > 0) & (t > 0) & (s >= epsilon) & (t >= epsilon)  # and not NaN
    kept.diagonal(dim1=-2, dim2=-1).fill_(False)
    logs = (s.log() + t.log()).where(kept, 0.0).sum((-2, -1))
    far = squares.sqrt() >= epsilon
    own_logs = (squares.log() / 2).where(far, 0.0).sum(-1)
    count = kept.sum((-2, -1)) + k  # the diagonal stands for the k distances to the point
    dropped_near = (~far).sum(-1)
    estimate = -2 * (count - dropped_near) / (logs + 2 * own_logs)
    return estimate.masked_fill(logs >= -max(epsilon, RESOLUTION), math.nan)


def _resolved(squares: Tensor, offsets: Tensor, sign: int, block_bytes: int) -> Tensor:
    """Return squared lengths `(b, k, k)` of offset_i + sign · offset_j, small ones from the vectors themselves."""
    small = (squares < CLOSE).triu(1).nonzero()
    for b, i, j in (part.unbind(-1) for part in small.split(max(1, block_bytes // (24 * offsets.shape[-1])))):
        exact = (offsets[b, i] + sign * offsets[b, j]).square().sum(-1)
        squares[b, i, j] = squares[b, j, i] = exact
    return squares


def _measured(squares: Tensor, pair_squares: Tensor) -> Tensor:
    """Return s of every pair, `(b, k, k)`, from squared distances to the point `(b, k)` and of the pair, r = 1.

    Of the two ways to write the root of the quadratic equation each pair takes the one without cancellation,
    which also covers D_i = r.
    """
    first, second = squares[..., :, None], squares[..., None, :]
    slope = first + pair_squares - second
    root = (slope.square() + 4 * pair_squares * (1 - first)).sqrt()
    return torch.where(slope > 0, 2 * pair_squares / (root + slope), (root - slope) / (2 * (1 - first)))
