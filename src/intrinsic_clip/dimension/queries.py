"""Ask some points, drawn at random, for their neighbours among all points.

The mean over some points of what each point's neighbours say has the same expectation as over all points, and a
standard error that shrinks with their number: a search of n · q · d operations in place of n² · d. Neighbours are
always sought among all points; those within a sample would be farther away, and show another scale.
"""

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from intrinsic_clip.dimension.exact_search import Report
from intrinsic_clip.dimension.query_search import Nearest, ask
from intrinsic_clip.dimension.row_source import RowSource
from intrinsic_clip.dimension.row_survey import RowSurvey, survey
from intrinsic_clip.seeding import drawn_order

Queries: TypeAlias = int | Literal["auto", "all"] | None
FROM_ROWS = (
    50_000  # more rows than these are asked in part, where the number of queries is left to this module
)
PRECISION = 0.005  # relative standard error to reach then
PILOT = 1000  # queries from whose spread their number follows
MARGIN = 1.1  # more queries than these suggest, whose own spread is a sample


def every_one(queries: Queries, n: int) -> bool:
    """Return whether all n points are to be asked.

    Raises:
        ValueError: queries is neither a number from 2, "auto", "all" nor None.
    """
    if queries is None or queries == "all":
        return True
    if queries == "auto":
        return n <= FROM_ROWS
    if not isinstance(queries, Integral) or isinstance(queries, bool) or int(queries) < 2:
        raise ValueError(f'queries must be a number from 2, "auto", "all" or None, got {queries!r}')
    return int(queries) >= n


class Asked:
    """Points of one source that have been asked for their neighbours, more with every call.

    Args:
        source: the points.
        k: neighbours of each.
        seed: of the order in which points are drawn.
        device: where to compute.
        report: called after every block that is searched.
        facts: survey of the source, if there is one.
        numbers: the order in which its points are asked; None: drawn at random from the distinct ones.
        axes: as for `Nearest`.

    Attributes:
        searched: distinct finite points.
        numbers: row numbers of the points asked, `(q,)`; their distances, `(q, k)`, and neighbours' row numbers beside.
    """

    def __init__(
        self,
        source: RowSource,
        k: int,
        seed: int,
        device: torch.device | str = "cpu",
        report: Report | None = None,
        facts: RowSurvey | None = None,
        numbers: Tensor | None = None,
        axes: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.source, self.k, self.device, self.report = source, k, device, report
        self.survey = survey(source, device=device) if facts is None else facts
        self.searched = int(self.survey.distinct.sum())
        self.enough_rows = self.searched > k
        if numbers is None:
            numbers = drawn_order(self.survey.distinct, seed)
        self.order, self.axes = numbers, axes
        self.numbers = numbers[:0]
        self.distances = torch.zeros(0, k, dtype=torch.float64)
        self.indices = torch.zeros(0, k, dtype=torch.int64)

    @property
    def dims(self) -> int:
        """Return the columns that vary; 0 where there are too few points."""
        return self.survey.dims if self.enough_rows else 0

    def question(self, q: int) -> Nearest | None:
        """Return the question for the neighbours of the next points, up to q in all; None where none are left."""
        fresh = self.order[len(self.numbers) : q]
        if not len(fresh) or not self.enough_rows:
            return None
        rows = self.source.take(fresh).to(self.device)
        return Nearest(rows, fresh, self.survey, self.k, axes=self.axes)

    def take_in(self, question: Nearest) -> None:
        """Keep the answer to a question that all points were read for."""
        question.settle()
        self.numbers = torch.cat([self.numbers, question.numbers.cpu()])
        self.distances = torch.cat([self.distances, question.distances.cpu()])
        self.indices = torch.cat([self.indices, question.indices.cpu()])

    def up_to(self, q: int) -> None:
        """Ask more points, up to q in all."""
        question = self.question(q)
        if question is not None:
            ask(self.source, [question], self.device, self.report)
            self.take_in(question)

    def padded(self, q: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return numbers, distances, indices and validity of q points, not valid where fewer were asked."""
        short = q - len(self.numbers)
        pad = torch.nn.functional.pad
        return (
            pad(self.numbers, (0, short)),
            pad(self.distances, (0, 0, 0, short), value=math.nan),
            pad(self.indices, (0, 0, 0, short), value=-1),
            torch.arange(q) < len(self.numbers),
        )


def ask_enough(parts: Sequence[Asked], queries: Queries) -> int:
    """Ask equally many points of every part, as many as are wanted, and return their number."""
    if queries == "auto":
        for part in parts:
            part.up_to(PILOT)
        queries = max(enough(part.distances, part.searched) for part in parts)
    assert isinstance(queries, Integral)  # all points are asked elsewhere
    queries = int(queries)
    for part in parts:
        part.up_to(queries)
    return queries


def enough(distances: Tensor, searched: int) -> int:
    """Return how many points to ask for a relative standard error of `PRECISION`, by the spread among some.

    Args:
        distances: of the neighbours of points drawn at random, `(q, k)`.
        searched: points that could be asked.
    """
    if distances.shape[0] < 2 or distances.shape[1] < 2:
        return max(2, min(PILOT, searched))
    logs = distances.log()
    growth = (logs[:, -1:] - logs).sum(
        1
    )  # of which `mle` is the inverse, and its harmonic mean that of the mean
    spread = float(growth.std() / growth.mean())
    if not math.isfinite(spread):
        return len(distances)
    wanted = MARGIN * (spread / PRECISION) ** 2
    return int(min(searched, max(len(distances), math.ceil(wanted / (1 + wanted / searched)))))
