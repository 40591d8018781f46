"""Retrieval by some rows, drawn at random, of their partners among all rows of the other modality.

As in `intrinsic_clip.dimension.queries` the candidates are always all rows, which are read block by block: n · q · d
operations in place of n² · d. Single-precision products settle nearly all comparisons; those within their rounding of
the best right answer are repeated in double precision.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from intrinsic_clip.dimension.query_search import BLOCK, GPU_BLOCK, TILE, TRIED, ask
from intrinsic_clip.dimension.reduced_products import Reduction, cheapest
from intrinsic_clip.dimension.row_source import RowSource, TensorRows
from intrinsic_clip.dimension.row_workers import WorkerMemory
from intrinsic_clip.metrics.alignment import directions
from intrinsic_clip.metrics.counterparts import Counterparts
from intrinsic_clip.metrics.matching import Ranks
from intrinsic_clip.seeding import seeded

MANY = 32  # comparisons of a query in a block, from which on a product in double precision is faster
AT_ONCE = 2**22  # bytes of rows
Side = Literal["x", "y"]
Counts = tuple[Tensor, Tensor]


def ranks_of_some(
    x: Tensor, y: Tensor, both: Counterparts | None, queries: int, seed: int
) -> tuple[Ranks, Ranks]:
    """Rank the best right answers to some rows of x among all of y, and the other way round, by inner products.

    Args:
        x, y: rows of one replicate, `(n, d)`.
        both: the right answers where rows repeat; None: row i for row i.
        queries: rows asked of each.
        seed: of the draw.
    """
    order = torch.randperm(len(x), generator=seeded(seed))
    usable = torch.ones(len(x), dtype=torch.bool)
    ways = []
    sides: tuple[tuple[Side, Tensor, Tensor], ...] = (("x", x, y), ("y", y, x))
    for own, one, other in sides:
        asked, right, left_out = drawn_queries(order, both, own, queries, usable)
        longest = float(torch.linalg.vector_norm(other, dim=1, dtype=torch.float64).max()) or 1.0
        counts = PartnerCounts(one[asked], TensorRows(other), right, left_out, longest, one.device)
        ask(TensorRows(other), [counts], one.device)
        ways.append(counts.ranks(both is not None, one.device))
    return ways[0], ways[1]


def drawn_queries(
    order: Tensor, both: Counterparts | None, own: Side, queries: int, usable: Tensor
) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor | None]:
    """Return the rows of one modality to ask, their right answers, and the rows of the other that are no candidates.

    Args:
        order: the usable rows, in the order in which they are drawn.
        both: the right answers where rows repeat; None: row i for row i.
        own: the modality of the queries.
        queries: rows to ask, at most.
        usable: pairs that count, `(n,)`.
    """
    if both is None:
        asked = order[:queries]
        return asked, (torch.arange(len(asked)), asked), ~usable
    x, y, of_x, of_y = (part.cpu() for part in (both.x, both.y, both.of_x, both.of_y))
    rows, others, of_own, of_other = (x, y, of_x, of_y) if own == "x" else (y, x, of_y, of_x)
    asked, places, answers = _asked_distinct(order, rows, of_own, of_other, queries)
    left_out = torch.ones_like(usable)
    left_out[others] = False
    return asked, (places, others[answers]), left_out


def _asked_distinct(
    order: Tensor, rows: Tensor, of_own: Tensor, of_other: Tensor, queries: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return row numbers of distinct rows drawn at random, and their right answers as two columns of places."""
    place_of_row = torch.full((int(order.max()) + 1,), -1, dtype=torch.int64)
    place_of_row[rows] = torch.arange(len(rows))
    drawn = place_of_row[order]
    drawn = drawn[drawn >= 0][:queries]  # places among the distinct rows
    rank = torch.full((len(rows),), -1, dtype=torch.int64)
    rank[drawn] = torch.arange(len(drawn))
    chosen = rank[of_own] >= 0
    return rows[drawn], rank[of_own[chosen]], of_other[chosen]


class PartnerCounts:
    """Count candidates that score higher than the best right answer to each query; a `Question` for the candidates.

    Args:
        queries: rows of one modality, `(q, d)`.
        candidates: the other modality.
        right: the right answers, as places among the queries and row numbers of candidates.
        left_out: candidates that do not count, `(n,)`; None: all do.
        longest: the largest length of a candidate; None: scores are cosines, and rows are scaled to length 1.
        device: where to compute.
        axes: orthonormal directions, those of the largest second moment of the candidates first, `(d, d)`, and some
            candidates drawn at random, from which it follows whether a few coordinates rule most of them out.

    Attributes:
        greater, ties: candidates that score higher than the best right answer, and as high, int64 `(q,)`.
        right: right answers among the latter.
    """

    def __init__(
        self,
        queries: Tensor,
        candidates: RowSource,
        right: tuple[Tensor, Tensor],
        left_out: Tensor | None = None,
        longest: float | None = None,
        device: torch.device | str = "cpu",
        axes: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.cosines, self.longest = longest is None, longest or 1.0
        self.device = torch.device(device)
        rows = queries.to(self.device)
        self.queries = directions(rows) if self.cosines else rows.double()
        lengths = torch.linalg.vector_norm(self.queries, dim=1)
        self.lengths = lengths.where(lengths > 0, 1.0) * self.longest
        self.left_out = None if left_out is None or not bool(left_out.any()) else left_out.to(self.device)
        places, answers = (part.to(self.device) for part in right)
        scores = self._scores_of(candidates, places, answers)
        self.best = torch.full_like(lengths, -math.inf).scatter_reduce(0, places, scores, "amax")
        d = queries.shape[1]
        self.around = torch.finfo(torch.float64).eps * (d + 2) * lengths * self.longest
        self.around = self.around.where(self.best.isfinite() & self.around.isfinite(), math.nan)
        self.error = torch.finfo(torch.float32).eps * (d + 8)  # of scores of rows of length 1, twice
        near = (scores >= (self.best - self.around)[places]).double()
        self.right = places.bincount(near, minlength=len(lengths)).long()
        self.single = (self.queries / self.lengths[:, None]).float() * self.longest
        self.reduction = None if axes is None else self._reduction(*axes)
        if self.reduction is not None:
            self.reduced = self.reduction(self.single, self.single.square().sum(1))
        self.greater, self.ties = torch.zeros(2, len(lengths), dtype=torch.int64, device=self.device)
        self.tiles = torch.arange(len(lengths), device=self.device).split(TILE)
        self.memory = WorkerMemory()

    def _prepared(self, rows: Tensor) -> Tensor:
        return directions(rows) if self.cosines else rows.double()

    def _scores_of(self, candidates: RowSource, places: Tensor, answers: Tensor) -> Tensor:
        """Return the scores of pairs of a query and a row, few rows at a time."""
        scores = [self.queries.new_empty(0)]
        size = max(16, AT_ONCE // (8 * self.queries.shape[1]))
        for place, answer in zip(places.split(64 * size), answers.split(64 * size), strict=True):
            rows = candidates.take(answer.cpu()).to(self.device)
            for part, block in zip(place.split(size), rows.split(size), strict=True):
                scores.append((self.queries[part] * self._prepared(block)).sum(-1))
        return torch.cat(scores)

    def _reduction(self, axes: Tensor, sample: Tensor) -> Reduction | None:
        """Return leading coordinates that rule most candidates out, if they save time."""
        scale = self.lengths[:TRIED, None]
        low = (self.best[:TRIED, None] - self.around[:TRIED, None]) / scale
        return cheapest(
            axes.to(self.device),
            self._single(sample.to(self.device)),
            self.single[:TRIED],
            lambda products: products.double() >= low,
        )

    def _single(self, block: Tensor) -> Tensor:
        """Return rows in single precision, of length 1 or less."""
        if not self.cosines:
            return (block.double() / self.longest).float()
        norms = torch.linalg.vector_norm(block, dim=1, dtype=torch.float64)[:, None]
        return block.float() / norms.where(norms != 0, 1.0).float()

    def look(self, start: int, block: Tensor) -> Counts:
        """Return how many rows of a block score higher than the best right answers, and as high."""
        rows = self._single(block)
        left_out = None if self.left_out is None else self.left_out[start : start + len(block)]
        if left_out is not None:
            rows.masked_fill_(left_out[:, None], 0)
        reduced = None if self.reduction is None else self.reduction(rows, rows.square().sum(1))
        size = len(self.tiles[0]) * max(len(rows), BLOCK if self.device.type == "cpu" else GPU_BLOCK)
        with self.memory.lent(lambda: rows.new_empty(size)) as memory:
            parts = [self._in_tile(tile, block, rows, reduced, left_out, memory) for tile in self.tiles]
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])

    def _in_tile(
        self,
        tile: Tensor,
        block: Tensor,
        rows: Tensor,
        reduced: Tensor | None,
        left_out: Tensor | None,
        memory: Tensor,
    ) -> Counts:
        """Return the counts of the queries of a tile."""
        scores = memory[: len(tile) * len(rows)].view(len(tile), len(rows))
        if reduced is None:
            return self._by_products(tile, block, rows, left_out, scores)
        assert self.reduction is not None
        greater, ties = torch.zeros(2, len(tile), dtype=torch.int64, device=scores.device)
        torch.mm(self.reduced[tile[0] : tile[-1] + 1], reduced.mT, out=scores)
        low, _ = self._limits(tile, self.reduction.error)
        near = (scores.amax(1) >= low).nonzero().squeeze(-1)
        unsure = scores[near] >= low[near, None]
        if left_out is not None:
            unsure &= ~left_out
        many = unsure.sum(1) > MANY
        if bool(many.any()):
            which = near[many]
            scores = memory[: len(which) * len(rows)].view(len(which), len(rows))
            greater[which], ties[which] = self._by_products(tile[which], block, rows, left_out, scores)
        self._by_pairs(tile, block, near, unsure & ~many[:, None], greater, ties)
        return greater, ties

    def _limits(self, tile: Tensor, error: float) -> tuple[Tensor, Tensor]:
        """Return below which score a candidate is surely worse than the best right answer, and above which better."""
        scale = self.lengths[tile]
        best, around = self.best[tile] / scale, self.around[tile] / scale
        return (best - around - error).float(), (best + around + error).float()

    def _by_products(
        self, tile: Tensor, block: Tensor, rows: Tensor, left_out: Tensor | None, scores: Tensor
    ) -> Counts:
        """Return the counts of some queries by products of all coordinates."""
        torch.mm(self.single[tile], rows.mT, out=scores)
        if left_out is not None:
            scores.masked_fill_(left_out, -math.inf)
        greater, ties = torch.zeros(2, len(tile), dtype=torch.int64, device=scores.device)
        low, high = self._limits(tile, self.error)
        near = (scores.amax(1) >= low).nonzero().squeeze(-1)
        scores = scores[near]
        greater[near] = (scores > high[near, None]).sum(1)
        unsure = (scores >= low[near, None]) & (scores <= high[near, None])
        many = unsure.sum(1) > MANY
        if bool(many.any()):
            which = near[many]
            exact = self.queries[tile[which]] @ self._prepared(block).mT
            if left_out is not None:
                exact.masked_fill_(left_out, -math.inf)
            above, same = self._compared(exact, tile[which])
            greater[which], ties[which] = above.sum(1), same.sum(1)
        self._by_pairs(tile, block, near, unsure & ~many[:, None], greater, ties)
        return greater, ties

    def _by_pairs(
        self, tile: Tensor, block: Tensor, near: Tensor, unsure: Tensor, greater: Tensor, ties: Tensor
    ) -> None:
        """Add what exact scores of some pairs of a query and a candidate say."""
        place, column = unsure.nonzero().unbind(1)
        size = max(16, AT_ONCE // (8 * block.shape[1]))
        for part, columns in zip(near[place].split(size), column.split(size), strict=True):
            exact = (self.queries[tile[part]] * self._prepared(block[columns])).sum(-1)
            above, same = self._compared(exact[:, None], tile[part])
            greater.index_add_(0, part, above[:, 0].long())
            ties.index_add_(0, part, same[:, 0].long())

    def _compared(self, scores: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Return which exact scores `(q, b)` are higher than the best right answer, and which are as high."""
        top, near = self.best[queries, None], self.around[queries, None]
        above = scores > top + near
        return above, (scores >= top - near) & ~above

    def add(self, counts: Counts) -> None:
        """Take in the counts of a block."""
        self.greater += counts[0]
        self.ties += counts[1]

    def ranks(self, several: bool, device: torch.device | str = "cpu") -> Ranks:
        """Return the place of every query's best right answer, once all candidates were read.

        Args:
            several: whether queries can have several right answers.
            device: where to put it.
        """
        greater, ties, right = (part.to(device) for part in (self.greater, self.ties, self.right))
        return Ranks(greater, ties, right if several else None)
