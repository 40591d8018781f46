"""Compute all numbers about more rows than can be compared all with all, which are read block by block.

Some of the rows, drawn at random, are asked for their neighbours and partners among all rows. Every file is read once
for what a search needs to know, once for the first queries, from whose spread their number follows, and once for all
others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from numbers import Integral
from typing import Any, Literal

import torch
from torch import Tensor

from intrinsic_clip.dimension import registry
from intrinsic_clip.dimension.queries import PILOT, PRECISION, Asked, Queries, enough
from intrinsic_clip.dimension.query_search import Question, ask
from intrinsic_clip.dimension.row_source import RowSource
from intrinsic_clip.dimension.row_survey import RowSurvey, survey
from intrinsic_clip.dimension.row_workers import by_workers
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement import doubts
from intrinsic_clip.measurement.asked_modality import AskedModality
from intrinsic_clip.measurement.belief import believe
from intrinsic_clip.measurement.groups import UNGROUPED, Grouping
from intrinsic_clip.measurement.paired_sums import paired_sums
from intrinsic_clip.measurement.pairs import (
    Basis,
    compare_alone,
    compare_stored,
    measure_by_dimension,
    measure_retrieval,
    measure_uniformity,
    record_retrieval,
)
from intrinsic_clip.measurement.record import Record
from intrinsic_clip.measurement.sampled_pairs import SampledPairs
from intrinsic_clip.measurement.unusable_rows import for_neighbours, refusal, rows_left, unusable
from intrinsic_clip.metrics import Counterparts, PartnerRanks
from intrinsic_clip.metrics.counterparts import counterparts_of
from intrinsic_clip.metrics.matching_queries import PartnerCounts, drawn_queries
from intrinsic_clip.metrics.paired_error import Clusters, clusters
from intrinsic_clip.runs.vocabulary import estimator_title
from intrinsic_clip.seeding import drawn_order

MOST = 10_000  # queries, where their number is not given: time grows with it
ANSWERS = 200  # right answers to a query, on average, that are looked up
SAMPLED = 8192  # rows on which it is tried whether a few coordinates rule most rows out
FITTED = 12_500  # pairs, at most, that directions are fitted on: both bases are at work at once
HEAD = 1000  # rows in their order, that are looked at for signs of an index
Stage = tuple[str, Callable[[], object]]


@dataclass(frozen=True)
class Settings:
    """Settings of a measurement.

    Attributes:
        estimators: names of `intrinsic_clip.dimension`, or of classes of `skdim.id`.
        k: neighbours of mle, mada and tle.
        max_points: rows of the samples, where not all rows can be used.
        queries: rows to ask for their neighbours; "auto": as many as `mle` needs.
        seed: of all draws.
        nan: what to do with rows that hold NaN or infinity: refuse, or drop.
        device: where to compute.
        grouping: groups and classes of the rows.
        columns: what `drop=` calls the columns of each side that is a table.
    """

    estimators: Sequence[str]
    k: int
    max_points: int
    queries: Queries
    seed: int
    nan: Literal["refuse", "drop"] = "refuse"
    device: str = "cpu"
    grouping: Grouping = UNGROUPED
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)


class LargeMeasurement:
    """One measurement, stage by stage.

    Args:
        record: receives the numbers; its number of rows becomes that of the usable ones.
        sources: x, perhaps y, perhaps the true latent z.
        settings: of the measurement.
        report: called during passes over the rows.
    """

    def __init__(
        self,
        record: Record,
        sources: Mapping[str, RowSource],
        settings: Settings,
        report: Callable[[int, int], object] | None = None,
    ) -> None:
        self.record, self.sources, self.settings, self.report = record, sources, settings, report
        self.facts: dict[str, RowSurvey] = {}
        self.modalities: dict[str, AskedModality] = {}
        self.sampled: dict[str, Tensor] = {}
        self.both: Counterparts | None = None
        self.counts: dict[str, PartnerCounts] = {}
        self.sought: dict[str, Tensor] = {}
        self.q = 0

    @property
    def same_width(self) -> bool:
        """Return whether x and y are pairs whose cosines can be taken."""
        return "y" in self.sources and self.sources["x"].shape[1] == self.sources["y"].shape[1]

    def stages(self) -> list[Stage]:
        """Return all stages, in the order in which they must run."""
        stages: list[Stage] = [(f"{side}: rows", partial(self.survey, side)) for side in self.sources]
        stages.append(("queries", self.settle_queries))
        stages += [
            (f"{side}: neighbours of those asked", partial(self.search, side)) for side in self.sources
        ]
        grouping = self.settings.grouping
        for side in self.sources:
            stages += [
                (f"{side}: {estimator_title(name)}", partial(self._on, side, "estimate", name))
                for name in self.settings.estimators
            ]
            stages += [
                (f"{side}: spectrum", partial(self._on, side, "measure_spectrum", grouping.each(side))),
                (f"{side}: scales", partial(self._on, side, "measure_scales")),
                (f"{side}: doubts", partial(self._doubts, side)),
            ]
        stages += self._pair_stages() if "y" in self.sources else []
        return [*stages, ("forms", self.compare_forms)]

    def _on(self, side: str, method: str, *arguments: Any) -> None:
        getattr(self.modalities[side], method)(*arguments)

    def survey(self, side: str) -> None:
        """Go once through the rows of a side."""
        self.facts[side] = self._survey(side)

    def _survey(self, side: str, usable: Tensor | None = None) -> RowSurvey:
        return survey(
            self.sources[side], moments=True, usable=usable, device=self.settings.device, report=self.report
        )

    def settle_queries(self) -> None:
        """Leave out rows that cannot be used, and decide how many rows to ask."""
        usable = self._usable()
        settings = self.settings
        order = drawn_order(usable, settings.seed)
        self.record.n = len(order)
        k = max(settings.k, registry.WIDE)
        for side, source in self.sources.items():
            facts = self.facts[side]
            k_here = max(2, min(k, int(facts.distinct.sum()) - 1))
            numbers = order[facts.distinct[order]]
            assert facts.moments is not None
            if not bool(facts.moments.isfinite().all()):
                raise ConfigError(
                    f"{side}: squares of its numbers leave the range of float64; divide it by a constant"
                )
            some = source.take(order[:SAMPLED])
            self.sampled[side] = some
            axes = torch.linalg.eigh(facts.moments).eigenvectors.flip(1), some
            asked = Asked(source, k_here, settings.seed, settings.device, self.report, facts, numbers, axes)
            self.modalities[side] = AskedModality(
                self.record, side, asked, order, settings.k, settings.max_points, settings.seed
            )
        self.q = int(settings.queries) if isinstance(settings.queries, Integral) else self._by_pilot()
        if self.same_width:
            self._prepare_retrieval(order, usable)

    def _usable(self) -> Tensor:
        """Return which pairs are finite, `(n,)`."""
        usable = torch.stack([facts.finite for facts in self.facts.values()]).all(0)
        if bool(usable.all()):
            return usable
        finite = {side: facts.finite for side, facts in self.facts.items()}
        needed = for_neighbours(self.settings.k)
        if self.settings.nan == "refuse" or int(usable.sum()) < needed.rows:
            raise refusal(finite, self.sources, needed, self.settings.columns)
        self.record.notes.append(f"{unusable(finite, self.sources)}; {rows_left(usable, self.sources)}")
        for side in self.sources:
            self.facts[side] = self._survey(side, usable)
        return usable

    def _by_pilot(self) -> int:
        """Ask some rows of every side and return how many more make the estimates precise enough."""
        wanted = PILOT
        for modality in self.modalities.values():
            asked = modality.asked
            asked.up_to(PILOT)
            wanted = max(wanted, enough(asked.distances[:, : self.settings.k], asked.searched))
        if wanted > MOST:
            self.record.notes.append(
                f"queries: {wanted:,} would bring the relative standard error of MLE to {100 * PRECISION:g} %; "
                f"{MOST:,} are asked, queries={wanted} asks as many"
            )
        return min(wanted, MOST)

    def _prepare_retrieval(self, order: Tensor, usable: Tensor) -> None:
        """Draw the rows whose partners are sought among all, and find their right answers where rows repeat."""
        things = {side: self._things(side)[usable] for side in "xy"}
        rows = usable.nonzero().squeeze(-1)
        groups = self.settings.grouping.groups
        both = counterparts_of(things["x"], things["y"], None if groups is None else groups[usable])
        if both is not None:
            both = Counterparts(rows[both.x], rows[both.y], both.of_x, both.of_y, both.n)
            self.record.notes.append(f"pairs: {both.describe()}")
        self.both = both
        for own, other in (("x", "y"), ("y", "x")):
            asked, right, left_out = drawn_queries(order, both, own, self.q, usable)  # type: ignore[arg-type]
            if len(right[0]) > ANSWERS * len(asked):
                self.counts = {}
                return
            self.sought[own] = asked
            queries = self.sources[own].take(asked)
            candidates = self.sources[other]
            axes = self._axes_of_directions(other), self.sampled[other]
            self.counts[own] = PartnerCounts(
                queries, candidates, right, left_out, device=self.settings.device, axes=axes
            )

    def _axes_of_directions(self, side: str) -> Tensor:
        """Return the principal axes about the origin, which rows of one length share with their directions."""
        facts = self.facts[side]
        assert facts.moments is not None
        return torch.linalg.eigh(facts.moments + torch.outer(facts.mean, facts.mean)).eigenvectors.flip(1)

    def _things(self, side: str) -> Tensor:
        """Return the row number of the thing that each row shows, as `distinct_rows` does."""
        facts = self.facts[side]
        own = torch.arange(len(facts.first))
        return own if facts.dims < 2 else facts.first.where(~facts.zero, own)

    def search(self, side: str) -> None:
        """Read the rows of a side once, for the neighbours of its own queries and the partners of the other side's."""
        asked = self.modalities[side].asked
        nearest = asked.question(self.q)
        partners = self.counts.get({"x": "y", "y": "x"}.get(side, ""))
        questions: list[Question[Any]] = [
            question for question in (nearest, partners) if question is not None
        ]
        if questions:
            ask(asked.source, questions, self.settings.device, self.report)
        if nearest is not None:
            asked.take_in(nearest)

    def _doubts(self, side: str) -> None:
        """Note what was decided about a side and what may be wrong with it."""
        modality = self.modalities[side]
        head = self.sources[side].take(torch.arange(min(HEAD, self.sources[side].shape[0])))
        told = modality.doubts()
        said = [*modality.decisions(), *doubts.doubted_source(modality.facts, head), *told]
        self.record.notes += doubts.said(side, said)
        believe(self.record, side, modality.evidence(told[0]))
        modality.release()

    def _pair_stages(self) -> list[Stage]:
        bases: tuple[Basis, ...] = ("principal", "canonical") if self.same_width else ("canonical",)
        stages: list[Stage] = [("pairs: alignment", self.measure_alignment)] if self.same_width else []
        stages.append(("pairs: uniformity", self.measure_uniformity))
        if self.same_width:
            stages.append(("pairs: retrieval", self.measure_retrieval))
        label = f"pairs: {' and '.join(bases)} directions"
        stages.append((label, partial(self.measure_by_dimension, bases)))
        return stages

    def measure_alignment(self) -> None:
        """Record mean cosine and modality gap of all pairs."""
        x, y = (self.modalities[side] for side in "xy")
        usable = x.facts.finite & y.facts.finite
        sums = paired_sums(self.sources["x"], self.sources["y"], usable, self.settings.device)
        self.record.metrics["modality_gap"] = sums.modality_gap
        self.record.metrics["alignment/cosine"] = sums.alignment
        same = doubts.ONE_FILE if sums.same else None
        zeros = {side: int(self.facts[side].zero.sum()) for side in "xy"}
        self.record.notes += doubts.said("pairs", [doubts.doubted_zeros(zeros), same])

    def measure_uniformity(self) -> None:
        """Record how evenly the rows of the sample spread."""
        x, y = (self.modalities[side] for side in "xy")
        n = len(x.sample)
        grouping = self.settings.grouping.at(x.order[:n])
        measure_uniformity(self.record, x.sample, y.sample, torch.arange(n), grouping)

    def measure_retrieval(self) -> None:
        """Record recall of the rows asked among all; among those of a sample where a row has too many partners."""
        x, y = (self.modalities[side] for side in "xy")
        if not self.counts:
            grouping = self.settings.grouping.at(x.order[: len(x.sample)])
            measure_retrieval(self.record, x.sample, y.sample, grouping)
            self.record.notes.append(
                f"pairs: rows have over {ANSWERS} right answers each, so recall is that among {len(x.sample):,} pairs"
            )
            return
        ranks = PartnerRanks(*(self.counts[side].ranks(self.both is not None) for side in "xy"))
        record_retrieval(self.record, ranks, self.both, self._together(), self.record.n)
        self.record.retrieval["asked"] = len(ranks.x_to_y.greater)
        copies = {side: self.modalities[side].near_copies() for side in "xy"}
        for side, doubt in copies.items():
            self.record.notes += doubts.said(side, [doubt])

    def _together(self) -> Clusters:
        """Return which of the rows whose partners are sought hang together."""
        if self.both is None:
            return clusters(len(self.sought["x"]), None)
        among_all = clusters(self.record.n, self.both, self.settings.grouping.classes)
        return Clusters(
            among_all.x[torch.searchsorted(self.both.x, self.sought["x"])],
            among_all.y[torch.searchsorted(self.both.y, self.sought["y"])],
        )

    def measure_by_dimension(self, bases: Sequence[Basis]) -> None:
        """Record recall along the leading directions of each basis, of pairs drawn at random."""
        pairs, seed = self._pairs, self.settings.seed
        records = [Record(self.record.n, {}) for _ in bases]

        def measure(place: int) -> None:
            measure_by_dimension(records[place], pairs, bases[place], seed)

        for _ in by_workers(measure, range(len(bases)), torch.get_num_threads()):
            pass
        for record in records:
            self.record.metrics |= record.metrics
            self.record.curves |= record.curves

    def compare_forms(self) -> None:
        """Record how forms of stored rows compare, of rows drawn at random; of x too if y is not as wide."""
        seed = self.settings.seed
        if "y" in self.sources:
            compare_stored(self.record, self._pairs, seed)
        if not self.same_width:
            x = self._pairs.x if "y" in self.sources else self._drawn("x")
            compare_alone(self.record, x, torch.arange(len(x)), seed, self.settings.grouping.at(self._rows))

    @property
    def _rows(self) -> Tensor:
        """Return the rows that directions and forms are fitted on and tried with."""
        return self.modalities["x"].order[: 2 * FITTED]

    @cached_property
    def _pairs(self) -> SampledPairs:
        return SampledPairs.of(self._drawn("x"), self._drawn("y"), self.settings.grouping.at(self._rows))

    def _drawn(self, side: str) -> Tensor:
        rows = self.sources[side].take(self._rows)
        return rows if rows.dtype == torch.float64 else rows.float()
