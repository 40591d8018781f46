"""Exact nearest neighbours: the one search all neighbour-based estimators of dimension share.

Matrix products find the candidates fast but lose digits where points lie close together, so they only
propose: the distances of the candidates are recomputed from differences, and a rounding bound decides whether
the proposal is certain. Rows where it is not are searched again with more digits.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

SPARE = 6  # candidates beyond k: rounding must stay below the gap between the k-th and the last of them
TIE = 1e-9  # relative: which of two points whose squared distances are this close is k-th does not matter
NEGLIGIBLE = 1e-130  # beside a largest component of 1: differences among such would vanish when squared


@dataclass(frozen=True)
class Neighbours:
    """Every point's k nearest other points.

    Attributes:
        points: what was searched, `(*R, n, d)`.
        distances: Euclidean, ascending, float64, `(*R, n, k)`; NaN at points that are not valid.
        indices: which points they are, int64, `(*R, n, k)`; -1 at points that are not valid.
        valid: `(*R, n)`; False at NaN or infinite points, at repetitions of an earlier point, and wherever a
            replicate has too few points.
        n: points per replicate, valid or not.
        k: neighbours per point.
        dims: columns that vary, `(*R,)`, so that columns masked to zero do not count; 0 where nothing is
            valid.
        reason: why some replicate has no neighbours, else None.
    """

    points: Tensor
    distances: Tensor
    indices: Tensor
    valid: Tensor
    n: int
    k: int
    dims: Tensor
    reason: str | None = None


@torch.no_grad()
def nearest_neighbours(points: Tensor, k: int, *, block_bytes: int = 2**28) -> Neighbours:
    """Find the k nearest other points of every point.

    A point that equals an earlier one is counted once, and a row with NaN or infinity not at all: neither is
    given neighbours nor serves as one. One warning tells how many there were, or that too few are left.

    Args:
        points: `(*R, n, d)`, any floating-point type; each replicate is searched by itself.
        k: neighbours per point, the point itself not counted.
        block_bytes: about the most memory for one block of query rows. About three float64 copies of
            one replicate and the result come on top.

    Returns:
        Distances right to a relative 1e-9. A replicate with fewer than k + 1 distinct finite points has NaN
        distances, and `reason` says so.

    Raises:
        ValueError: k < 1, fewer than two axes, no column, or a type that is not floating point.
    """
    if points.ndim < 2 or points.shape[-1] < 1:
        raise ValueError(f"points must be (*R, n, d) with d >= 1, got shape {tuple(points.shape)}")
    if not points.is_floating_point():
        raise ValueError(f"points must be floating point, got {points.dtype}")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    *replicates, n, d = points.shape
    flat = points.reshape(math.prod(replicates), n, d)
    distances = torch.full((len(flat), n, k), math.nan, dtype=torch.float64, device=points.device)
    indices = torch.full((len(flat), n, k), -1, dtype=torch.int64, device=points.device)
    valid = torch.zeros(len(flat), n, dtype=torch.bool, device=points.device)
    dims = torch.zeros(len(flat), dtype=torch.int64, device=points.device)
    not_finite, repeated, too_few = 0, 0, []

    with torch.autocast(points.device.type, enabled=False):  # it would round the products to 8 bits
        for r, replicate in enumerate(flat):
            rows = replicate.isfinite().all(-1).nonzero().squeeze(-1)
            found = _search(replicate[rows].double(), k, block_bytes)
            not_finite += n - len(rows)
            if (
                found.dims != 1
            ):  # in one column they are to be expected, and change nothing: the dimension is 1
                repeated += len(rows) - len(found.rows)
            if found.distances is None or found.indices is None:
                too_few.append(len(found.rows))
                continue
            distinct = rows[found.rows]
            distances[r, distinct] = found.distances
            indices[r, distinct] = distinct[found.indices]
            valid[r, distinct] = True
            dims[r] = found.dims

    reason = None
    if too_few:
        reason = f"needs at least {k + 1} distinct points for k = {k}, got {min(too_few)}"
        if replicates:
            reason += f" (in {len(too_few)} of {len(flat)} replicates)"
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


def as_neighbours(points: Tensor | Neighbours, k: int) -> Neighbours:
    """The neighbours given, or those of the points given; at least k of each point.

    Raises:
        ValueError: the neighbours given are fewer than k.
    """
    if isinstance(points, Tensor):
        return nearest_neighbours(points, k)
    if points.k < k:
        raise ValueError(f"needs {k} neighbours of each point, got {points.k}")
    return points


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


@dataclass(frozen=True)
class _Found:
    rows: Tensor  # the distinct points
    distances: Tensor | None  # theirs, (len(rows), k); None if they are fewer than k + 1
    indices: Tensor | None  # places in rows, (len(rows), k)
    dims: int


def _search(points: Tensor, k: int, block_bytes: int) -> _Found:
    """Neighbours among the distinct rows of one replicate, `(n, d)` finite float64."""
    rows = torch.arange(len(points), device=points.device)
    if not len(points):
        return _Found(rows, None, None, 0)
    # A power of two, so nothing is rounded, and squares neither overflow nor vanish.
    exponent = min(max(math.frexp(float(points.abs().max()))[1], -1000), 1000)
    points = points * 2.0**-exponent
    points.masked_fill_(points.abs() < NEGLIGIBLE, 0)

    nearest = _nearest(points, k, block_bytes)
    if nearest is None:
        rows = _first_occurrences(points)
        points = points[rows]
        nearest = _nearest(points, k, block_bytes)
    if nearest is None:
        return _Found(rows, None, None, 0)
    distances, indices = nearest
    return _Found(rows, distances * 2.0**exponent, indices, int((points != points[0]).any(0).sum()))


def _first_occurrences(points: Tensor) -> Tensor:
    """Indices of the rows that equal no earlier row, ascending."""
    distinct, group = torch.unique(points, dim=0, return_inverse=True)
    order = torch.arange(len(points), device=points.device)
    first = order.new_full((len(distinct),), len(points)).scatter_reduce(0, group, order, "amin")
    return first.sort().values


def _nearest(points: Tensor, k: int, block_bytes: int) -> tuple[Tensor, Tensor] | None:
    """Ascending distances and whose they are, `(n, k)`; None if two points coincide or there are no k others."""
    n, d = points.shape
    if n <= k:
        return None
    rows_per_block = max(1, block_bytes // (16 * n + 24 * min(k + SPARE, n) * d))
    distances = points.new_empty(n, k)
    indices = torch.empty(n, k, dtype=torch.int64, device=points.device)
    pending = torch.arange(n, device=points.device)
    for method in _methods(points):
        uncertain = []
        for rows in pending.split(rows_per_block):
            distances[rows], indices[rows], certain = method(rows, k)
            if (distances[rows, 0] == 0).any():
                return None
            uncertain.append(rows[~certain])
        pending = torch.cat(uncertain)
        if not len(pending):
            break
    return distances, indices


def _methods(points: Tensor) -> list[Callable[[Tensor, int], tuple[Tensor, Tensor, Tensor]]]:
    """Ways to search, each slower and more certain than the one before it."""
    centred = points - points.mean(0)  # the products' rounding error grows with the distance from the origin
    dtypes = [torch.float32, torch.float64] if _float32_is_float32() else [torch.float64]
    copies = [centred.to(dtype) for dtype in dtypes]
    by_products = [partial(_by_products, points, copy, copy.square().sum(-1)) for copy in copies]
    return [*by_products, partial(_by_differences, points)]


def _float32_is_float32() -> bool:
    """Whether products of float32 keep 24 bits, which `torch.set_float32_matmul_precision` can take away."""
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # set through one of the per-backend switches, so this one cannot tell
        return False


def _by_products(
    points: Tensor, centred: Tensor, squares: Tensor, rows: Tensor, k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Distances `(b, k)` from points[rows], to which points, and at which rows they are certainly the smallest, `(b,)`.

    Candidates come from `centred`, a copy about the mean, `(n, d)`, and its squared norms, `(n,)`. With u the
    unit roundoff of `centred`, ‖b‖² − 2⟨a, b⟩ + ‖a‖² is computed to within (d + 4) u (‖a‖ + ‖b‖)², in
    whatever order the product is summed (Higham, Accuracy and Stability of Numerical Algorithms, 2002, eq.
    3.5). No point left out is then closer than the last candidate by more than that; twice that is allowed
    for.
    """
    n, d = points.shape
    count = min(k + SPARE, n - 1)
    scores = torch.addmm(squares, centred[rows], centred.T, alpha=-2)  # ‖a‖² is the same along a row
    scores[torch.arange(len(rows), device=rows.device), rows] = math.inf
    scores, candidates = scores.topk(count, largest=False)
    differences = points[candidates].sub_(points[rows, None])
    distances, order = torch.linalg.vector_norm(differences, dim=-1).sort()
    distances, indices = distances[:, :k], candidates.gather(1, order[:, :k])
    if count == n - 1:
        return distances, indices, torch.ones_like(rows, dtype=torch.bool)
    squares = squares.double()
    reach = squares[rows].sqrt() + squares.max().sqrt()
    error = (d + 4) * torch.finfo(centred.dtype).eps * reach.square()  # eps = 2u
    closest_left_out = scores[:, -1] + squares[rows] - error
    return distances, indices, closest_left_out >= distances[:, -1].square() * (1 - TIE)


def _by_differences(points: Tensor, rows: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """As `_by_products`, without products: slow, and always certain."""
    distances = torch.cdist(points[rows], points, compute_mode="donot_use_mm_for_euclid_dist")
    distances[torch.arange(len(rows), device=rows.device), rows] = math.inf
    nearest = distances.topk(k, largest=False)
    return nearest.values, nearest.indices, torch.ones_like(rows, dtype=torch.bool)
