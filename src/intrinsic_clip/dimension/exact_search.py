"""Exact nearest neighbours among the rows of one matrix.

Matrix products find the candidates fast but lose digits where points lie close together, so they only
propose: the distances of the candidates are recomputed from differences, and a rounding bound decides whether
the proposal is certain. Rows where it is not are searched again with more digits.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.dimension.row_workers import WorkerMemory, by_workers
from intrinsic_clip.dimension.scaling import exponent_of
from intrinsic_clip.dimension.single_precision import full_single_precision

SPARE = 6  # candidates beyond k: rounding must stay below the gap between the k-th and the last of them
TIE = 1e-9  # relative: which of two points whose squared distances are this close is k-th does not matter
CACHE_BYTES = 2**21  # of a core
FEW = 32  # rows: matrix products with fewer are slow
NEGLIGIBLE = 1e-130  # next to a largest component of 1: squared differences of such numbers would vanish


@dataclass(frozen=True)
class SearchResult:
    """The neighbours of the distinct rows of one matrix.

    Attributes:
        rows: row numbers of the distinct points, `(m,)`.
        distances: ascending, `(m, k)`; None if m < k + 1.
        indices: positions in `rows`, `(m, k)`; None if m < k + 1.
        dims: columns that vary.
    """

    rows: Tensor
    distances: Tensor | None
    indices: Tensor | None
    dims: int


@dataclass(frozen=True)
class _Scaled:
    """Points in units in which they can be squared.

    Attributes:
        points: float64.
        unit: the length of their distance 1 in the original points.
    """

    points: Tensor
    unit: float


def _scaled(points: Tensor) -> _Scaled:
    """Return a copy whose largest component is about 1, so that squares neither overflow nor vanish."""
    copy = points.to(torch.float64, copy=True)
    if not len(points):
        return _Scaled(copy, 1.0)
    exponent = exponent_of(copy)
    copy.mul_(2.0**-exponent)
    if points.dtype == torch.float64:  # other types do not reach so far down
        for block in copy.split(4096):
            block.masked_fill_(block.abs() < NEGLIGIBLE, 0)
    return _Scaled(copy, 2.0**exponent)


Report = Callable[[int, int], object]  # called with the rows that are done, and all rows


def search(points: Tensor, k: int, block_bytes: int, report: Report | None = None) -> SearchResult:
    """Search the k nearest neighbours among the distinct rows of finite points `(n, d)`.

    Args:
        points: finite, of any floating-point type.
        k: neighbours per point, the point itself not counted.
        block_bytes: about the most memory for the blocks of query rows worked on at a time.
        report: called after every block.
    """
    scaled = _scaled(points)
    points = scaled.points
    rows = _first_occurrences(points)  # first: a search that meets a duplicate late would have been in vain
    if len(rows) < len(points):
        points = points[rows]
    with full_single_precision(points.device):
        nearest = _nearest(points, k, block_bytes, report)
    if nearest is None:
        return SearchResult(rows, None, None, 0)
    distances, indices = nearest
    return SearchResult(rows, distances * scaled.unit, indices, int((points.amax(0) > points.amin(0)).sum()))


def _first_occurrences(points: Tensor) -> Tensor:
    """Return the indices of the rows that equal no earlier row, ascending."""
    hashes = torch.cat([_hash(block) for block in points.split(4096)])
    distinct, group = torch.unique(hashes, return_inverse=True)
    order = torch.arange(len(points), device=points.device)
    first = order.new_full((len(distinct),), len(points)).scatter_reduce(0, group, order, "amin")
    return first.sort().values


def _hash(points: Tensor) -> Tensor:
    """Hash each row to 64 bits, `(n,)`; two different rows get the same hash with probability about 2^-60.

    The hash is a random combination of the row's words modulo 2^64, which does not depend on the order of summation.
    Words of numbers that were float32 or float16 end in zeros, which no multiplication removes, so their upper half is
    mixed into the lower.
    """
    generator = torch.Generator().manual_seed(0)
    weights = torch.randint(-(2**63), 2**63 - 1, (2, points.shape[1]), generator=generator).to(points.device)
    words = (points + 0.0).view(torch.int64) * (weights[0] | 1)  # no −0
    return ((words ^ (words >> 32)) * (weights[1] | 1)).sum(1)


def _nearest(points: Tensor, k: int, block_bytes: int, report: Report | None) -> tuple[Tensor, Tensor] | None:
    """Return ascending distances and indices, `(n, k)`; None if two points coincide or there are no k others."""
    n = len(points)
    if n <= k:
        return None
    distances = points.new_empty(n, k)
    indices = torch.empty(n, k, dtype=torch.int64, device=points.device)
    pending = torch.arange(n, device=points.device)
    workers = _workers(points, block_bytes)
    for method in _methods(points, k, block_bytes // workers):
        at_once = min(
            method.rows_per_block, max(FEW, len(pending) // (4 * workers))
        )  # a share for every worker
        blocks = pending.split(at_once if workers > 1 else method.rows_per_block)
        uncertain: list[Tensor] = [pending[:0]] * len(blocks)
        for index, (nearest, others, certain) in by_workers(method, blocks, workers):
            rows = blocks[index]
            distances[rows], indices[rows] = nearest, others
            if (nearest[:, 0] == 0).any():
                return None
            uncertain[index] = rows[~certain]
            if report is not None:
                report(len(rows), n)
        pending = torch.cat(uncertain)
        if not len(pending):
            break
    return distances, indices


def _workers(points: Tensor, block_bytes: int) -> int:
    """Return how many threads search at a time: as many as PyTorch has, if memory for a block each is left."""
    if points.device.type != "cpu":
        return 1
    smallest = 6 * FEW * len(points)
    most = max(block_bytes, 12 * points.numel()) // max(1, smallest)  # the copies of the points take as much
    return max(1, min(torch.get_num_threads(), most))


class _Method(Protocol):
    """A way to search the neighbours of `rows`: distances and indices `(b, k)`, and where they are certain, `(b,)`."""

    rows_per_block: int

    def __call__(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]: ...


def _methods(points: Tensor, k: int, block_bytes: int) -> Iterator[_Method]:
    """Yield ways to search, each slower and more certain than the one before, built only when needed."""
    for dtype in (torch.float32, torch.float64):
        yield _ByProducts(points, k, dtype, block_bytes)
    yield _ByDifferences(points, k, block_bytes)


class _ByProducts:
    """Search by matrix products of a centred copy, since their rounding grows with distance from the origin.

    With u the unit roundoff of that copy, ‖b‖² − 2⟨a, b⟩ + ‖a‖² is computed to within (d + 4) u (‖a‖ + ‖b‖)²,
    in any order of summation (Higham, Accuracy and Stability of Numerical Algorithms, 2002, eq.
    3.5). No point left out is then closer than the last candidate by more than that; twice that is allowed
    for.
    """

    def __init__(self, points: Tensor, k: int, dtype: torch.dtype, block_bytes: int) -> None:
        n, d = points.shape
        self.points, self.k, self.count = points, k, min(k + SPARE, n - 1)
        self.centred = torch.empty_like(points, dtype=dtype)
        mean = points.mean(0)
        for copy, block in zip(self.centred.split(4096), points.split(4096), strict=True):
            copy.copy_(block - mean)
        self.squares = torch.linalg.vector_norm(self.centred, dim=1, dtype=torch.float64).square()
        self.addends = self.squares.to(dtype)
        on_cpu = points.device.type == "cpu"
        self.rows_per_block = max(1, block_bytes // ((dtype.itemsize + 2) * n))
        self.rows_in_cache = max(1, (CACHE_BYTES if on_cpu else block_bytes) // (16 * self.count * d))
        if on_cpu:
            self.rows_per_block = max(FEW, min(self.rows_per_block, 1000))  # more gains nothing
        self.memory = WorkerMemory()

    def __call__(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        size = self.rows_per_block, len(self.points)
        with self.memory.lent(lambda: self.centred.new_empty(size)) as buffer:
            return self._search(rows, buffer[: len(rows)])

    def _search(self, rows: Tensor, buffer: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scores = torch.mm(self.centred[rows] * -2, self.centred.T, out=buffer)
        scores.add_(self.addends)  # ‖a‖² is the same along a row
        scores[torch.arange(len(rows), device=rows.device), rows] = math.inf
        candidates = _smallest(scores, self.count)
        distances, order = self._distances(rows, candidates).sort()
        distances, indices = distances[:, : self.k], candidates.gather(1, order[:, : self.k])
        if self.count == len(self.points) - 1:
            return distances, indices, torch.ones_like(rows, dtype=torch.bool)
        reach = self.squares[rows].sqrt() + self.squares.max().sqrt()
        error = (self.points.shape[1] + 4) * torch.finfo(scores.dtype).eps * reach.square()  # eps = 2u
        closest_left_out = scores.gather(1, candidates).amax(1) + self.squares[rows] - error
        return distances, indices, closest_left_out >= distances[:, -1].square() * (1 - TIE)

    def _distances(self, rows: Tensor, candidates: Tensor) -> Tensor:
        """Compute distances from differences, `(b, count)`: no cancellation, and a few rows at a time for the cache."""
        distances = self.points.new_empty(candidates.shape)
        blocks = (tensor.split(self.rows_in_cache) for tensor in (rows, candidates, distances))
        for queries, others, out in zip(*blocks, strict=True):
            differences = self.points.index_select(0, others.flatten()).view(*others.shape, -1)
            torch.linalg.vector_norm(differences.sub_(self.points[queries, None]), dim=-1, out=out)
        return distances


def _smallest(scores: Tensor, count: int) -> Tensor:
    """Return the columns of the `count` smallest of each row, in any order, `(b, count)`.

    The columns fall into groups. A column outside the `count` groups with the smallest minima has at least `count`
    smaller ones, so only those groups are searched: that halves the time of a partition of the whole row.
    """
    size = round(math.sqrt(scores.shape[1] / count))  # as many groups as members of those that are searched
    if size < 3:
        return _partition(scores, count)
    n_groups = scores.shape[1] // size
    whole = n_groups * size
    grouped = scores[:, :whole].view(-1, size, n_groups)
    groups = _partition(grouped.amin(1), count)
    members = grouped.gather(2, groups[:, None].expand(-1, size, -1)).flatten(1)
    places = _partition(torch.cat([members, scores[:, whole:]], 1), count)
    columns = places // count * n_groups + groups.gather(1, places % count)
    in_a_group = places < members.shape[1]
    return columns.where(in_a_group, places - members.shape[1] + whole)


def _partition(scores: Tensor, count: int) -> Tensor:
    """Return the columns of the `count` smallest of each row by one partition of the whole row."""
    # On a CPU NumPy's takes less than half the time of PyTorch's.
    if scores.device.type == "cpu":
        return torch.from_numpy(np.argpartition(scores.numpy(), count - 1, axis=1)[:, :count])
    return scores.topk(count, largest=False, sorted=False).indices


class _ByDifferences:
    """Search by differences instead of products: slow, and always certain."""

    def __init__(self, points: Tensor, k: int, block_bytes: int) -> None:
        self.points, self.k = points, k
        self.rows_per_block = max(1, block_bytes // (16 * len(points)))

    def __call__(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        distances = torch.cdist(self.points[rows], self.points, compute_mode="donot_use_mm_for_euclid_dist")
        distances[torch.arange(len(rows), device=rows.device), rows] = math.inf
        nearest = distances.topk(self.k, largest=False)
        return nearest.values, nearest.indices, torch.ones_like(rows, dtype=torch.bool)
