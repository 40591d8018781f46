"""Measure one modality by asking some of its rows for their neighbours among all, which are read block by block."""

import warnings
from functools import cached_property

import torch
from torch import Tensor

from intrinsic_clip.dimension import Neighbours, registry
from intrinsic_clip.dimension.queries import Asked
from intrinsic_clip.dimension.row_survey import RowSurvey, survey
from intrinsic_clip.dimension.spectrum_of_moments import linear_dimensions
from intrinsic_clip.measurement.belief import Evidence
from intrinsic_clip.measurement.doubts import doubted_estimates
from intrinsic_clip.measurement.record import SHARES, Record
from intrinsic_clip.measurement.sample_neighbours import as_many_neighbours
from intrinsic_clip.measurement.sampled_curves import DUPLICATES, record_scales
from intrinsic_clip.metrics.counterparts import COPIES, COPY

POSITIONS = 2**30  # bytes of rows that are asked or are neighbours


class AskedModality:
    """One set of rows, some of which have been asked for their neighbours.

    Args:
        record: receives the numbers.
        side: x, y or z.
        asked: the rows asked.
        order: the usable rows in the order in which they are drawn.
        k: neighbours of mle, mada and tle.
        max_points: rows of the sample for estimators that can ask no queries.
        seed: of the subsets that the curve over sample sizes draws.
    """

    def __init__(
        self, record: Record, side: str, asked: Asked, order: Tensor, k: int, max_points: int, seed: int
    ) -> None:
        self.record, self.side, self.asked, self.order = record, side, asked, order
        self.k, self.max_points, self.seed = k, max_points, seed
        self.n = len(order)

    @property
    def facts(self) -> RowSurvey:
        """Return what one pass over the rows found."""
        return self.asked.survey

    @cached_property
    def sample(self) -> Tensor:
        """Rows drawn at random, for what needs rows in memory."""
        rows = self.asked.source.take(self.order[: self.max_points])
        return rows if rows.dtype == torch.float64 else rows.float()

    @cached_property
    def neighbours_in_sample(self) -> Neighbours:
        """Nearest neighbours in the sample, for estimators that can ask no queries."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", DUPLICATES)  # `decisions` tells of those among all rows
            return as_many_neighbours(self.sample, max(registry.WIDE, self.k))

    @cached_property
    def neighbours(self) -> Neighbours:
        """Nearest neighbours among all rows of those asked, without the rows' positions."""
        return self._neighbours(len(self.asked.numbers), positions=False)

    @cached_property
    def neighbourhoods(self) -> Neighbours:
        """Nearest neighbours with their positions, of as many rows asked as fit into memory."""
        _, d = self.asked.source.shape
        most = POSITIONS // ((self.asked.k + 1) * d * self.asked.source.dtype.itemsize)
        return self._neighbours(max(2, min(len(self.asked.numbers), most)), positions=True)

    def _neighbours(self, q: int, positions: bool) -> Neighbours:
        numbers, distances, indices = (
            part[:q] for part in (self.asked.numbers, self.asked.distances, self.asked.indices)
        )
        points = torch.empty(0, self.asked.source.shape[1])
        if positions:
            rows, place = torch.unique(torch.cat([numbers[:, None], indices], 1), return_inverse=True)
            points = self.asked.source.take(rows)
            numbers, indices = place[:, 0], place[:, 1:]
        enough = self.asked.enough_rows
        return Neighbours(
            points,
            distances,
            indices,
            torch.full((len(numbers),), enough),
            n=self.n,
            k=self.asked.k,
            dims=torch.tensor(self.asked.dims),
            reason=None if enough else f"needs more than {self.asked.k} distinct rows",
            queries=numbers,
            searched=torch.tensor(self.asked.searched),
        )

    def neighbours_for(self, name: str) -> Neighbours:
        """Return the neighbours that an estimator gets."""
        if not registry.takes_queries(name):
            return self.neighbours_in_sample
        return self.neighbours if registry.runs_on_all_rows(name) else self.neighbourhoods

    def estimate(self, name: str) -> None:
        """Record the intrinsic dimension by one estimator."""
        self.record.estimate(name, self.side, self.k, self.neighbours_for(name))

    def measure_spectrum(self, each: Tensor | None = None) -> None:
        """Record linear dimensions of all rows, and the share of the variance along each principal component.

        Args:
            each: places of the rows of the file, each once, where groups need copies of them; None: all are such.
        """
        facts, sample, n = self.facts, self.sample, self.n
        if each is not None and 1 < len(each) < n:
            once = torch.zeros_like(facts.finite).index_fill_(0, each, True) & facts.finite
            asked, order = self.asked, self.order[once[self.order]]
            facts = survey(asked.source, moments=True, usable=once, device=asked.device, report=asked.report)
            sample, n = asked.source.take(order[: self.max_points]), len(order)
        assert facts.moments is not None
        estimates, values = linear_dimensions(facts.moments, facts.mean, sample, n, facts.dims, SHARES)
        self.record.add_spectrum(self.side, estimates, values)

    def measure_scales(self) -> None:
        """Record the intrinsic dimension against scale, of the rows asked, and against sample size, in the sample."""
        record_scales(self.record, self.side, self.neighbours, self.sample, self.k, self.seed)

    def release(self) -> None:
        """Forget the rows held in memory."""
        for name in ("neighbourhoods", "neighbours_in_sample"):
            vars(self).pop(name, None)

    def decisions(self) -> list[str]:
        """Return what was decided about the rows, and rows that count only once, a sentence each."""
        q, facts = len(self.asked.numbers), self.facts
        repeated = int(facts.finite.sum()) - self.asked.searched
        notes = [f"{self.n:,} rows, {q:,} of them asked, drawn at random; neighbours among all"]
        if repeated and facts.dims != 1:
            notes.append(
                f"{repeated} of {self.n} points are exact duplicates of others and were counted once"
            )
        if (few := len(vars(self)["neighbourhoods"].distances) if "neighbourhoods" in vars(self) else q) < q:
            notes.append(
                f"the positions of neighbours were taken of {few:,} rows asked, as many as fit into 1 GiB"
            )
        return notes

    def doubts(self) -> list[str | None]:
        """Return why numbers that look right may not be."""

        def compared(name: str) -> int:
            among_all = registry.takes_queries(name)
            return self.asked.searched if among_all else int(self.neighbours_in_sample.valid.sum())

        return doubted_estimates(self.record, self.side, self.k, self.sample, self.neighbours, compared)

    def evidence(self, doubt: str | None) -> Evidence:
        """Return what the dimension to believe follows from; `doubt` is that about distances."""

        def positions(neighbours: Neighbours) -> Tensor:
            return self.asked.source.take(self.asked.numbers[: len(neighbours.distances)])

        return Evidence(self.neighbours, self.neighbours, positions, doubt, self.k, self.seed)

    def near_copies(self) -> str | None:
        """Doubt recall where many rows differ from another by rounding alone."""
        reach = COPY * float(self.facts.lengths.median()) * 2.0**self.facts.exponent
        nearest = self.neighbours.distances[:, 0]
        copies = int((nearest <= reach).sum())
        if not len(nearest) or copies < COPIES * len(nearest):
            return None
        return (
            f"{copies:,} of {len(nearest):,} rows asked have a copy that differs by rounding alone; recall counts "
            "copies as different things here, since only exact ones are merged among so many rows"
        )
