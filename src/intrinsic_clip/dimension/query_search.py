"""Exact nearest neighbours of some rows among all rows, which are read block by block.

Single-precision products say of nearly all rows that they are farther than the k nearest of the blocks before, with a
bound on their rounding. The distances of the few others are computed from differences in double precision, so that the
result is exact and does not depend on blocks or workers.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from intrinsic_clip.dimension.reduced_products import Reduction, cheapest
from intrinsic_clip.dimension.row_source import RowSource
from intrinsic_clip.dimension.row_survey import RowSurvey
from intrinsic_clip.dimension.row_workers import WorkerMemory, in_order
from intrinsic_clip.dimension.single_precision import full_single_precision

BLOCK = 1024  # rows that are read at a time: their products with a tile of queries stay in a core's cache
GPU_BLOCK = 2**15
TILE = 2048  # queries
AT_ONCE = 2**22  # bytes of differences
SAFE_EXPONENT = 300  # of numbers whose squares are far from the limits of double precision
SAFE_IN_SINGLE = 126  # of numbers whose differences, and whose unit, single precision can hold
MANY_BOUNDS = 32  # hits of a query in a block by bounds, from which on products pay
TRIED = 256  # queries on which a reduction is tried
MANY = 4  # times k hits of a query in a block, from which on more digits pay

Answer = TypeVar("Answer")


class Question(Protocol[Answer]):
    """Something to find out from all rows, block by block."""

    def look(self, start: int, block: Tensor) -> Answer:
        """Return what a block of rows, whose first has the number `start`, adds; called by several threads."""

    def add(self, answer: Answer) -> None:
        """Take in what a block adds; called in the order of the blocks."""


def ask(
    source: RowSource,
    questions: Sequence[Question],
    device: torch.device | str = "cpu",
    report: Callable[[int, int], object] | None = None,
) -> None:
    """Read all rows once and put every question to each block.

    Args:
        source: the rows.
        questions: each takes in its answers.
        device: where to compute.
        report: called after every block with its number of rows, and that of all.
    """
    device = torch.device(device)
    on_cpu = device.type == "cpu"

    def look(numbered: tuple[int, Tensor]) -> tuple[int, list]:
        start, block = numbered
        block = block.to(device)
        return len(block), [question.look(start, block) for question in questions]

    blocks = source.blocks(BLOCK if on_cpu else GPU_BLOCK)
    with full_single_precision(device):
        for rows, answers in in_order(look, blocks, torch.get_num_threads() if on_cpu else 1):
            for question, answer in zip(questions, answers, strict=True):
                question.add(answer)
            if report is not None:
                report(rows, source.shape[0])


class Hits(NamedTuple):
    """Rows that may be among the nearest: places among the queries, row numbers and exact distances, `(h,)` each."""

    queries: Tensor
    rows: Tensor
    distances: Tensor


class Nearest:
    """The k nearest other rows of some rows; a `Question`.

    Args:
        queries: the rows asked about, as they are in the source, `(q, d)`.
        numbers: their row numbers, int64 `(q,)`.
        survey: of the source.
        k: neighbours of each; the distinct rows must be more.
        axes: orthonormal directions, those of the largest variance first, `(d, d)`, and some rows drawn at random, from
            which it follows whether a few coordinates rule most rows out; None: do without.

    Attributes:
        distances: ascending, float64 `(q, k)`; complete once all rows were read.
        indices: row numbers, int64 `(q, k)`.
    """

    def __init__(
        self,
        queries: Tensor,
        numbers: Tensor,
        survey: RowSurvey,
        k: int,
        axes: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        device = queries.device
        q, d = queries.shape
        self.numbers, self.k, self.scale = numbers.to(device), k, 2.0**survey.exponent
        self.far = survey.exponent > SAFE_IN_SINGLE
        self.left_out = ~survey.distinct.to(device)
        self.queries = queries.double() / self.scale
        # In their own unit, where squares neither overflow nor vanish; a power of two changes no digit.
        self.unit = 1.0 if abs(survey.exponent) < SAFE_EXPONENT else self.scale
        self.exact_queries = self.queries * (self.scale / self.unit)
        self.centre = survey.mean.to(device)
        if queries.dtype != torch.float64:
            self.centre = self.centre.float().double()  # the same in both precisions
        self.squares = self._centred(queries, torch.float64).square().sum(1)
        moved = float((self.centre.cpu() - survey.mean).norm())
        reach = self.squares.sqrt() + (survey.radius + moved) / self.scale
        self.errors = {  # Higham, Accuracy and Stability of Numerical Algorithms, 2002, eq. 3.5, twice (eps = 2u)
            dtype: (d + 8) * torch.finfo(dtype).eps * reach.square()
            for dtype in (torch.float32, torch.float64)
        }
        self.tiles = torch.arange(q, device=device).split(TILE)
        self.turned = self._turned(torch.arange(q, device=device), torch.float32)
        self.block = BLOCK if device.type == "cpu" else GPU_BLOCK
        self.distances = torch.full((q, k), math.inf, dtype=torch.float64, device=device)
        self.indices = torch.full((q, k), -1, dtype=torch.int64, device=device)
        self.farthest = self.distances[:, -1]
        self.reduction = None if axes is None else self._reduction(*axes)
        if axes is not None:
            self.farthest = self._at_most(axes[1].to(device), survey)
        if self.reduction is not None:
            centred = self.turned[:, :-1] / -2
            reduced = self.reduction(centred, self.squares.float())
            self.reduced = torch.nn.functional.pad(reduced * -2, (0, 1), value=1.0)
        self.pending: list[Hits] = []
        self.memory = WorkerMemory()

    def _centred(self, rows: Tensor, dtype: torch.dtype) -> Tensor:
        if self.far:
            return (rows.double() / self.scale - self.centre / self.scale).to(dtype)
        rows = rows if rows.dtype == torch.float64 else rows.to(dtype)
        return ((rows - self.centre.to(rows.dtype)) / self.scale).to(dtype)

    def _turned(self, tile: Tensor, dtype: torch.dtype) -> Tensor:
        """Return (−2 query, 1), whose product with (row, ‖row‖²) is the squared distance less ‖query‖²."""
        centred = self._centred(self.queries[tile] * self.scale, dtype)
        return torch.nn.functional.pad(centred * -2, (0, 1), value=1.0)

    def look(self, start: int, block: Tensor) -> Hits:
        """Return the rows of a block that may be nearer than the k nearest so far, with their distances."""
        rows = self._with_squares(start, block, torch.float32)
        reduced = None
        if self.reduction is not None:
            squares = rows[:, -1].where(rows[:, -1] < math.inf, 0.0)
            reduced = torch.cat([self.reduction(rows[:, :-1], squares), rows[:, -1:]], 1)
        places, columns = [], []
        size = len(self.tiles[0]) * max(len(rows), self.block)
        with self.memory.lent(lambda: rows.new_empty(size)) as memory:
            for tile in self.tiles:
                if reduced is None or bool(self.farthest[tile].isinf().any()):
                    place, column = self._near(tile, start, block, rows, memory)
                else:
                    place, column = self._near_by_bounds(tile, start, block, rows, reduced, memory)
                places.append(place)
                columns.append(column)
        place, column = torch.cat(places), torch.cat(columns)
        return Hits(place, column + start, self._exact(place, block, column))

    def _reduction(self, axes: Tensor, sample: Tensor) -> Reduction | None:
        """Return leading coordinates that rule most rows out, if they save time."""
        rows = self._centred(sample.to(self.queries.device), torch.float32)
        centred = self.turned[:TRIED, :-1] / -2
        squares = rows.double().square().sum(1)
        distances = self.squares[:TRIED, None] + squares - 2 * (centred @ rows.mT).double()
        distances.masked_fill_(distances <= 1e-6 * self.squares[:TRIED, None], math.inf)  # the query itself
        near = max(1, round(self.k * len(rows) / len(self.left_out)))
        limit = distances.kthvalue(near, dim=1).values[:, None]

        def hits(products: Tensor) -> Tensor:
            return self.squares[:TRIED, None] + squares - 2 * products.double() <= limit

        return cheapest(axes.to(rows.device), rows, centred, hits)

    def _at_most(self, sample: Tensor, survey: RowSurvey) -> Tensor:
        """Return distances within which the k nearest surely lie, by some rows that are distinct."""
        if len(sample) <= 2 * self.k or int(survey.distinct.sum()) < len(survey.distinct):
            return self.farthest
        rows = self._centred(sample, torch.float32)
        squares = rows.double().square().sum(1)
        limits = []
        for tile in self.tiles:
            with full_single_precision(rows.device):
                products = self.turned[tile, :-1] @ rows.mT
            distances = self.squares[tile, None] + squares + products.double()
            nearest = distances.kthvalue(self.k + 1, dim=1).values  # one of them may be the query itself
            limits.append((nearest + 2 * self.errors[torch.float32][tile]).clamp_min(0).sqrt() * self.scale)
        return torch.cat(limits)

    def _near_by_bounds(
        self, tile: Tensor, start: int, block: Tensor, rows: Tensor, reduced: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return what `_near` does, and perhaps a few more; products only where bounds of the distances leave many."""
        assert self.reduction is not None
        scores = memory[: len(tile) * len(rows)].view(len(tile), len(rows))
        torch.mm(self.reduced[tile[0] : tile[-1] + 1], reduced.mT, out=scores)
        self._mask_own(scores, tile, start)
        reach = self.errors[torch.float32][tile] * (self.reduction.error / self.reduction.slack)
        limit = self.farthest[tile].div(self.scale).square() - self.squares[tile] + reach
        limit = (limit + limit.abs() * torch.finfo(torch.float32).eps).float()
        near = (scores.amin(1) <= limit).nonzero().squeeze(-1)
        hits = (scores[near] <= limit[near, None]).logical_and_(scores[near] < math.inf)
        many = hits.sum(1) > MANY_BOUNDS
        which, column = (hits & ~many[:, None]).nonzero().unbind(1)
        place = tile[near[which]]
        if bool(many.any()):
            unsure = tile[near[many]]
            more = self._near(unsure, start, block, rows, memory)
            place, column = torch.cat([place, more[0]]), torch.cat([column, more[1]])
        return place, column

    def _near(
        self, tile: Tensor, start: int, block: Tensor, rows: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return places among the queries of a tile and in the block where the two may be near."""
        scores = self._scores(tile, rows, start, memory[: len(tile) * len(rows)].view(len(tile), len(rows)))
        limit = self._limit(tile, scores)
        near = (scores.amin(1) <= limit).nonzero().squeeze(-1)
        hits = (scores[near] <= limit[near, None]).logical_and_(scores[near] < math.inf)
        many = hits.sum(1) > MANY * self.k
        if bool(many.any()):  # single precision cannot tell them apart
            unsure = tile[near[many]]
            exacter = self._scores(unsure, self._with_squares(start, block, torch.float64), start)
            hits[many] = (exacter <= self._limit(unsure, exacter)[:, None]).logical_and_(exacter < math.inf)
        which, column = hits.nonzero().unbind(1)
        return tile[near[which]], column

    def _with_squares(self, start: int, block: Tensor, dtype: torch.dtype) -> Tensor:
        """Return (row, ‖row‖²) of a block, infinity in place of the latter where a row is left out."""
        rows = self._centred(block, dtype)
        squares = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64).square().to(dtype)
        left_out = self.left_out[start : start + len(block)]
        if bool(left_out.any()):
            rows = rows.masked_fill(left_out[:, None], 0)
            squares = squares.masked_fill(left_out, math.inf)
        return torch.cat([rows, squares[:, None]], 1)

    def _scores(self, tile: Tensor, rows: Tensor, start: int, out: Tensor | None = None) -> Tensor:
        """Return squared distances less ‖query‖², infinity for rows left out and the query itself."""
        queries = self.turned[tile] if rows.dtype == torch.float32 else self._turned(tile, rows.dtype)
        scores = torch.mm(queries, rows.mT, out=out)
        self._mask_own(scores, tile, start)
        return scores

    def _mask_own(self, scores: Tensor, tile: Tensor, start: int) -> None:
        """Make the score of a query with itself infinite."""
        own = self.numbers[tile] - start
        inside = ((own >= 0) & (own < scores.shape[1])).nonzero().squeeze(-1)
        scores[inside, own[inside]] = math.inf

    def _limit(self, tile: Tensor, scores: Tensor) -> Tensor:
        """Return the largest score of each query that a row as near as the k-th so far can have."""
        error = self.errors[scores.dtype][tile]
        limit = self.farthest[tile].div(self.scale).square() - self.squares[tile] + error
        unknown = limit.isinf()
        if bool(unknown.any()) and scores.shape[1] >= self.k:
            in_block = scores[unknown].kthvalue(self.k, dim=1).values.double()
            limit[unknown] = in_block + 2 * error[unknown]
        return (limit + limit.abs() * torch.finfo(scores.dtype).eps).to(scores.dtype)

    def _exact(self, places: Tensor, block: Tensor, columns: Tensor) -> Tensor:
        """Compute distances from differences, which cancel nothing."""
        distances = self.distances.new_empty(len(places))
        size = max(16, AT_ONCE // (8 * block.shape[1]))
        if len(columns) > len(block):
            block = block.double()
        parts = (tensor.split(size) for tensor in (places, columns, distances))
        for place, column, out in zip(*parts, strict=True):
            differences = block[column].double()
            if self.unit != 1:
                differences.div_(self.unit)
            torch.linalg.vector_norm(differences.sub_(self.exact_queries[place]), dim=-1, out=out)
        return distances.mul_(self.unit)

    def add(self, answer: Hits) -> None:
        """Keep the hits of a block, and sort them in when there are enough."""
        self.pending.append(answer)
        waiting = sum(len(hits.rows) for hits in self.pending)
        if waiting >= self.distances.numel() // 4 or (waiting and bool(self.farthest.isinf().any())):
            self.settle()

    def settle(self) -> None:
        """Sort the hits of the last blocks in; of equal distances the first row counts as nearer."""
        if not self.pending:
            return
        place, row, distance = (torch.cat(parts) for parts in zip(*self.pending, strict=True))
        self.pending = []
        order = distance.argsort(stable=True)
        order = order[place[order].argsort(stable=True)]
        place, row, distance = place[order], row[order], distance[order]
        counts = place.bincount(minlength=len(self.queries))
        rank = torch.arange(len(place), device=place.device) - (counts.cumsum(0) - counts)[place]
        kept = rank < self.k
        nearest, numbers = torch.full_like(self.distances, math.inf), torch.full_like(self.indices, -1)
        nearest[place[kept], rank[kept]] = distance[kept]
        numbers[place[kept], rank[kept]] = row[kept]
        both, order = torch.cat([self.distances, nearest], 1).sort(dim=1, stable=True)
        self.distances = both[:, : self.k].contiguous()
        self.indices = torch.cat([self.indices, numbers], 1).gather(1, order[:, : self.k])
        self.farthest = torch.minimum(self.farthest, self.distances[:, -1])
