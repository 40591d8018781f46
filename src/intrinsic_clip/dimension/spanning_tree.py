"""The minimum-spanning-tree estimator of Costa and Hero."""

import itertools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows
from intrinsic_clip.dimension.estimate import DimensionEstimate, conclude
from intrinsic_clip.dimension.neighbourhoods import distinct_points
from intrinsic_clip.dimension.neighbours import Neighbours, as_neighbours
from intrinsic_clip.dimension.registry import estimator
from intrinsic_clip.seeding import seeded

SCALES = 4  # sizes of the parts: n, n/2, n/4, n/8
FEWEST = 5  # points in a part
NO_SLOPE = (
    f"fewer than {2 * FEWEST} distinct points, or a tree that grows at least in proportion to the points, "
    "as no sample of a manifold does"
)


@estimator(neighbours=1)
def spanning_tree(points: Rows | Neighbours, power: float = 1.0, seed: int = 0) -> DimensionEstimate:
    """Estimate the dimension from how the minimum spanning tree grows with the number of points.

    The sum L of the tree's edges, each raised to the power γ, grows as n^a with a = (m − γ) / m for n points in m
    dimensions (Costa, Hero, *Geodesic entropic graphs for dimension and entropy estimation in manifold learning*, IEEE
    Transactions on Signal Processing 52, 2004), so that m = γ / (1 − a). Edges are straight lines, which short ones on
    a manifold nearly are, where that paper follows a graph of neighbours. The points are shuffled and cut into 1, 2, 4
    and 8 disjoint parts, and a is the least-squares slope of the mean log L against log n; there are fewer sizes where
    the smallest parts would have fewer than 5 points. In another order the same rows give other parts, and a value
    that differs by about a standard error. The trees take n² d steps, and are exact but for rounding: among points that
    lie 10⁷ times nearer to each other than the farthest ones, other edges may be chosen.

    The standard error is that of the slope; that of the value is value² / γ times as large. Parts of all sizes hold
    the same points, so that their log L rise and fall together; the slope is a sum over the sizes of the mean D, by how
    much log L of a part exceeds the mean of its two halves. The D of different parts are taken as independent, with
    a mean of the same variance at each size, which follows from how the D of one size differ. With fewer than four
    sizes these are too few, and each mean log L is taken as independent, with the variance of the smallest parts.
    On 100 samples of 160 points (cubes, Gaussians, a sphere, clusters, log-normal points) it was 0.8 to 1.5 times the
    actual spread, but half of it for Student's t of 3 degrees of freedom, which outliers rule. It ignores the bias of
    points near the edge: on 2,000 uniform points the value was 1.97 of 2, 4.6 of 5 and 6.9 of 8 in a cube, and 2.0,
    5.0 and 7.7 on a sphere.

    Args:
        points: `(*R, n, d)`, or their neighbours, of which only the points are used.
        power: γ, larger than 0.
        seed: of the shuffle, which is the same for every replicate.

    Returns:
        Value and standard error `(*R,)`; NaN with a reason where no estimate exists. There is no pointwise estimate.

    Raises:
        ValueError: a power that is not positive.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import spanning_tree
        >>> _ = torch.manual_seed(0)
        >>> points = torch.rand(400, 2) @ torch.rand(2, 10)  # a plane in 10 columns
        >>> round(float(spanning_tree(points).value), 1)
        1.9
    """
    if not power > 0:
        raise ValueError(f"power must be larger than 0, got {power}")
    neighbours = as_neighbours(points, 1)
    value = torch.full_like(neighbours.dims, math.nan, dtype=torch.float64)
    error = value.clone()
    for distinct in distinct_points(neighbours):
        value[distinct.replicate], error[distinct.replicate] = _estimate(distinct.points, power, seed)
    return conclude(neighbours, None, value, error, None, NO_SLOPE, "spanning_tree")


def tree_length(points: Tensor, power: float = 1.0) -> Tensor:
    """Return the sum of the minimum spanning tree's edges, each to a power, of point sets `(*R, n, d)`, as `(*R,)`."""
    *sets, n, d = points.shape
    lengths = []
    for rows in points.reshape(-1, n, d).double().cpu().numpy():
        ends = _edges(rows)
        edges = np.linalg.norm(rows[ends[:, 0]] - rows[ends[:, 1]], axis=1)
        lengths.append(float((edges**power).sum()))
    return torch.tensor(lengths, dtype=torch.float64, device=points.device).reshape(sets)


def _edges(rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the rows that each edge of the minimum spanning tree connects, `(n − 1, 2)`.

    The tree grows by the nearest point outside it (Prim's algorithm). Distances are compared by inner products, which
    is fast, and right to rounding of the largest.
    """
    centred = rows - rows.mean(0)
    norms = np.einsum("ij,ij->i", centred, centred)
    outside = norms.copy()  # infinite inside the tree
    squares, parents = np.full(len(rows), np.inf), np.zeros(len(rows), dtype=np.int64)
    ends = np.empty((max(0, len(rows) - 1), 2), dtype=np.int64)
    newest = 0
    for edge in ends:
        outside[newest] = squares[newest] = np.inf
        reached = centred @ centred[newest]
        reached *= -2
        reached += outside
        reached += norms[newest]
        np.putmask(parents, reached < squares, newest)
        np.minimum(squares, reached, out=squares)
        newest = int(squares.argmin())
        edge[:] = parents[newest], newest
    return ends


def _estimate(points: Tensor, power: float, seed: int) -> tuple[float, float]:
    """Return value and standard error for the distinct points `(n, d)` of one replicate."""
    order = torch.randperm(len(points), generator=seeded(seed)).to(points.device)
    shuffled = points[order]
    sizes = [len(points) >> scale for scale in range(SCALES) if len(points) >> scale >= FEWEST]
    if len(sizes) < 2:
        return math.nan, math.nan
    logs = []
    for scale, size in enumerate(sizes):
        parts = shuffled[: size << scale].reshape(1 << scale, size, -1)
        logs.append(tree_length(parts, power).log())
    at = torch.tensor(sizes, dtype=torch.float64).log()
    at -= at.mean()
    slope = float((at * torch.stack([log.mean() for log in logs]).cpu()).sum() / at.square().sum())
    if not slope < 1:
        return math.nan, math.nan
    value = power / (1 - slope)
    return value, value**2 / power * _slope_error(logs, at)


def _slope_error(logs: list[Tensor], at: Tensor) -> float:
    """Return the standard error of the slope over the sizes.

    Args:
        logs: log L of the parts of each size, `(1,)`, `(2,)`, `(4,)`, …; two neighbours are halves of one before.
        at: log size less its mean, `(sizes,)`.
    """
    if len(logs) < SCALES:
        return math.sqrt(float(logs[-1].var()) / len(logs[-1]) / float(at.square().sum()))
    excess = [whole - halves.unflatten(0, (-1, 2)).mean(1) for whole, halves in itertools.pairwise(logs)]
    # The variance of each mean, from the sizes of which several parts show it.
    squares = sum(float((one - one.mean()).square().sum()) / len(one) for one in excess[1:])
    variance = squares / sum(len(one) - 1 for one in excess[1:])
    weights = (at / at.square().sum()).cumsum(0)[:-1]  # of the excess of each size in the slope
    return math.sqrt(variance * float(weights.square().sum()))
