"""Exact nearest neighbours: the one search all neighbour-based estimators of dimension share.

`exact_search` searches one replicate; this module goes through the replicates and reports what it leaves out. Where
only some of the points are asked for their neighbours, `query_search` looks for these among all points.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows, as_points, whole_number
from intrinsic_clip.dimension.display import in_replicates
from intrinsic_clip.dimension.exact_search import Report, search
from intrinsic_clip.dimension.queries import Asked, Queries, ask_enough, every_one
from intrinsic_clip.dimension.replicated_search import search_together, worth_it
from intrinsic_clip.dimension.row_source import TensorRows

MOST_MISSING = 10_000_000  # distances that are NaN, since there are fewer than k + 1 points


@dataclass(frozen=True)
class Neighbours:
    """The k nearest other points of every point, or of the q points that were asked.

    Attributes:
        points: the points searched, `(*R, n, d)`; of points that were read block by block only those that are asked or
            are neighbours.
        distances: Euclidean, ascending, float64, `(*R, n, k)` or `(*R, q, k)`; NaN at points that are not valid.
        indices: their places in `points`, int64, `(*R, n, k)` or `(*R, q, k)`; -1 at points that are not valid.
        valid: `(*R, n)` or `(*R, q)`; False at NaN or infinite points, at repetitions of an earlier point, and wherever
            a replicate has too few points.
        n: points per replicate, valid or not.
        k: neighbours per point.
        dims: columns that vary, `(*R,)`, so that columns masked to zero do not count; 0 where nothing is
            valid.
        reason: why some replicate has no neighbours, else None.
        queries: places in `points` of the q points that were asked, in the order in which they were drawn, int64
            `(*R, q)`; None: every point was.
        searched: points among which neighbours were sought, `(*R,)`: those that are finite and distinct; None where
            every point was asked, and `valid` tells.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import nearest_neighbours
        >>> neighbours = nearest_neighbours(torch.tensor([[0.0], [1.0], [3.0]]), k=1)
        >>> neighbours.distances.squeeze().tolist()
        [1.0, 1.0, 2.0]
        >>> neighbours.indices.squeeze().tolist(), neighbours.n, neighbours.k
        ([1, 0, 1], 3, 1)
    """

    points: Tensor
    distances: Tensor
    indices: Tensor
    valid: Tensor
    n: int
    k: int
    dims: Tensor
    reason: str | None = None
    queries: Tensor | None = None
    searched: Tensor | None = None

    @property
    def asked(self) -> int | None:
        """Return the number of points that were asked; None: every one was."""
        return None if self.queries is None else self.queries.shape[-1]


@torch.no_grad()
def nearest_neighbours(
    points: Rows,
    k: int,
    *,
    block_bytes: int = 2**28,
    report: Report | None = None,
    queries: Queries = None,
    seed: int = 0,
) -> Neighbours:
    """Find the k nearest other points of every point, or of some that are drawn at random.

    A point that equals an earlier one is counted once, and a row with NaN or infinity not at all: neither is
    given neighbours nor serves as one. One warning says how many there were, or that too few are left.

    Args:
        points: `(*R, n, d)`, any type of real numbers; each replicate is searched separately.
        k: neighbours per point, the point itself not counted.
        block_bytes: about the most memory for the blocks of query rows worked on at a time. A float64 and a float32
            copy of one replicate and the result come on top, and one more float64 copy where float32 has too few
            digits.
        report: called after every block with the number of rows that it held, and of all rows of its replicate; rows
            that are searched again with more digits are reported again.
        queries: how many points of each replicate to ask for their neighbours among all points; None: every one;
            "auto": every one of up to 50,000, of more as many as give `mle` a relative standard error of 0.5 %.
        seed: of the draw, which all replicates share.

    Returns:
        Distances right to a relative 1e-9. A replicate with fewer than k + 1 distinct finite points has NaN
        distances, and `reason` says so.

    Raises:
        ValueError: k < 1 or not whole, or so far above n that NaN in its place would fill memory; fewer than two axes,
            no column, or no real numbers.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import mle, nearest_neighbours, twonn
        >>> _ = torch.manual_seed(0)
        >>> points = torch.rand(1000, 2) @ torch.rand(2, 10)  # a plane in 10 columns
        >>> neighbours = nearest_neighbours(points, k=20)  # one search for several estimators
        >>> round(float(mle(neighbours).value), 1), round(float(twonn(neighbours).value), 1)
        (1.9, 2.1)
    """
    points = as_points(points)
    k = whole_number("k", k, 1)
    *replicates, n, d = points.shape
    if k >= max(n, MOST_MISSING // max(1, n * math.prod(replicates))):
        raise ValueError(f"k must be below the number of points, {n:,}, got {k:,}")
    if not every_one(queries, n) and 0 not in replicates:
        return _of_some(points, k, queries, seed, report)
    flat = points.reshape(math.prod(replicates), n, d)
    distances = torch.full((len(flat), n, k), math.nan, dtype=torch.float64, device=points.device)
    indices = torch.full((len(flat), n, k), -1, dtype=torch.int64, device=points.device)
    valid = torch.zeros(len(flat), n, dtype=torch.bool, device=points.device)
    dims = torch.zeros(len(flat), dtype=torch.int64, device=points.device)
    not_finite, repeated, too_few = 0, 0, []

    with torch.autocast(points.device.type, enabled=False):  # it would round the products to 8 bits
        alone: Sequence[int] = range(len(flat))
        if worth_it(flat, k):
            together = search_together(flat, k)
            done, distances, indices = together.done, together.distances, together.indices
            dims = together.dims
            distances[~done], indices[~done], dims[~done] = math.nan, -1, 0
            valid[done] = True
            alone = (~done).nonzero().flatten().tolist()
        for r in alone:
            replicate = flat[r]
            rows = replicate.isfinite().all(-1).nonzero().squeeze(-1)
            finite = replicate if len(rows) == n else replicate[rows]
            result = search(finite, k, block_bytes, report)
            not_finite += n - len(rows)
            if result.dims != 1:  # in one column repetitions are usual and change nothing: the dimension is 1
                repeated += len(rows) - len(result.rows)
            if result.distances is None or result.indices is None:
                too_few.append(len(result.rows))
                continue
            distinct = rows[result.rows]
            distances[r, distinct] = result.distances
            indices[r, distinct] = distinct[result.indices]
            valid[r, distinct] = True
            dims[r] = result.dims

    reason = _too_few(k, too_few, len(flat))
    _warn(len(flat) * n, repeated, not_finite, reason)
    return Neighbours(
        points,
        distances.reshape(*replicates, n, k),
        indices.reshape(*replicates, n, k),
        valid.reshape(*replicates, n),
        n=n,
        k=k,
        dims=dims.reshape(replicates),
        reason=reason,
    )


def _of_some(points: Tensor, k: int, queries: Queries, seed: int, report: Report | None) -> Neighbours:
    """Find the neighbours of some points of every replicate."""
    *replicates, n, d = points.shape
    flat = points.detach().reshape(math.prod(replicates), n, d)
    found = [Asked(TensorRows(rows), k, seed, rows.device, report) for rows in flat]
    with torch.autocast(points.device.type, enabled=False):
        q = ask_enough(found, queries)
    not_finite = sum(n - int(part.survey.finite.sum()) for part in found)
    repeated = sum(int(part.survey.finite.sum()) - part.searched for part in found if part.survey.dims != 1)
    too_few = [part.searched for part in found if not part.enough_rows]
    reason = _too_few(k, too_few, len(found))
    _warn(len(flat) * n, repeated, not_finite, reason)
    columns = zip(*(part.padded(q) for part in found), strict=True)
    numbers, distances, indices, valid = (torch.stack(column) for column in columns)
    device = points.device
    return Neighbours(
        points,
        distances.reshape(*replicates, q, k).to(device),
        indices.reshape(*replicates, q, k).to(device),
        valid.reshape(*replicates, q).to(device),
        n=n,
        k=k,
        dims=torch.tensor([part.dims for part in found], device=device).reshape(replicates),
        reason=reason,
        queries=numbers.reshape(*replicates, q).to(device),
        searched=torch.tensor([part.searched for part in found], device=device).reshape(replicates),
    )


def as_neighbours(points: Rows | Neighbours, k: int, queries: Queries = None, seed: int = 0) -> Neighbours:
    """Return the neighbours given, or search those of the points given; at least k of each point.

    Raises:
        ValueError: the neighbours given are fewer than k, or queries are given with them.
    """
    if not isinstance(points, Neighbours):
        return nearest_neighbours(points, k, queries=queries, seed=seed)
    if queries is not None:
        raise ValueError("queries belong to the search: nearest_neighbours(points, k, queries=…)")
    if points.k < k:
        raise ValueError(f"needs {k} neighbours of each point, got {points.k}")
    return points


def _too_few(k: int, distinct: list[int], count: int) -> str | None:
    """Return why replicates with so few distinct points have no neighbours; None where there are no such."""
    if not distinct:
        return None
    reason = f"needs at least {k + 1} distinct points for k = {k}, got {min(distinct)}"
    return in_replicates(reason, len(distinct), count)


def _warn(n: int, repeated: int, not_finite: int, reason: str | None) -> None:
    parts = []
    if repeated:
        parts.append(f"{repeated} of {n} points are exact duplicates of others and were counted once")
    if not_finite:
        parts.append(f"{not_finite} of {n} points hold NaN or infinity and were left out")
    if reason:
        parts.append(reason)
    if parts:
        warnings.warn("; ".join(parts), stacklevel=4)
