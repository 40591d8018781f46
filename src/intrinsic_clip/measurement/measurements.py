"""Compute all numbers about embeddings as one plain dictionary."""

import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Literal

import torch
from torch import Tensor

from intrinsic_clip.dimension import (
    Neighbours,
    components,
    effective_rank,
    participation_ratio,
    registry,
    spectrum,
)
from intrinsic_clip.dimension.arrays import Rows, as_matrix, as_points, check_same_index
from intrinsic_clip.dimension.percentages import components_name
from intrinsic_clip.dimension.queries import every_one
from intrinsic_clip.dimension.row_source import RowSource, TensorRows
from intrinsic_clip.dimension.table_columns import check_sides
from intrinsic_clip.measurement import doubts
from intrinsic_clip.measurement.advice import advise
from intrinsic_clip.measurement.belief import Evidence, believe
from intrinsic_clip.measurement.embedding_measurement import EmbeddingMeasurement
from intrinsic_clip.measurement.groups import UNGROUPED, Grouping, Ids, about_files, arrange
from intrinsic_clip.measurement.large import LargeMeasurement, Settings
from intrinsic_clip.measurement.pairs import compare_alone, pair_stages
from intrinsic_clip.measurement.record import SHARES, Record
from intrinsic_clip.measurement.sample_neighbours import as_many_neighbours
from intrinsic_clip.measurement.sampled_curves import DUPLICATES, record_scales
from intrinsic_clip.runs.vocabulary import estimator_title
from intrinsic_clip.seeding import seeded

Stage = tuple[str, Callable[[], object]]  # the label shown while the stage runs, and its work
Watch = Callable[[Sequence[Stage]], Iterable[Stage]]


def measure_embeddings(
    x: Rows,
    y: Rows | None = None,
    z: Rows | None = None,
    *,
    against: Rows | None = None,
    against_y: Rows | None = None,
    groups: Grouping | Mapping[str, Ids] | Ids | None = None,
    labels: Ids | None = None,
    estimators: Sequence[str] = registry.DEFAULT,
    k: int = 20,
    max_points: int = 10_000,
    seed: int = 0,
    queries: int | Literal["auto", "all"] = "auto",
    device: str | None = None,
    watch: Watch = iter,
    report: Callable[[int, int], object] | None = None,
) -> EmbeddingMeasurement:
    """Measure embeddings: intrinsic dimension, spectrum and, for pairs, alignment and retrieval.

    Args:
        x: finite rows `(n, d_x)`: a tensor, an array, a data frame or a list.
        y: their partners `(n, d_y)`, of any width.
        z: the true latent of each pair `(n, k*)`, where it is known; its dimension is estimated too.
        against: a second model's embeddings of the rows of x, in the same order, to lay beside those of x.
        against_y: its embeddings of the rows of y; None: y itself.
        groups: an id for each pair, so that any two rows of a group are partners; where x and y differ in rows, for
            each row of the longer one the number of its row of the shorter one; or ids by side, `{"x": …, "y": …}`.
        labels: a class for each row of x; where y has one row for each class, the number of that row.
        estimators: names of `intrinsic_clip.dimension`, or of classes of `skdim.id`.
        k: neighbours of mle, mada and tle.
        max_points: sample size for estimators that are too expensive for all rows; x, y and z share the sample.
        seed: seed of the samples, the queries and the choice of held-out pairs.
        queries: rows, drawn at random, to ask for their neighbours and partners among all rows; "all": every row;
            "auto": every one of up to 50,000, of more as many as give MLE a relative standard error of 0.5 %, at most
            10,000.
        device: where some rows ask all, such as "cuda"; None: the CPU.
        watch: wraps the sequence of stages, to show progress.
        report: called during a search for neighbours, with the rows that have just been done and all rows.

    Returns:
        A mapping to plain numbers, lists and strings, None for a number that does not exist, whose keys are attributes
        too and which has `to_frame`, `plot`, `html` and `reduce`:
        `n`, `dims`; `metrics`, a number by name (`id/mle/x`, `id_standard_error/mle/x`, `retrieval/top_1/x_to_y`, …);
        `estimates`, a row for each estimator and side; `curves`; `advice`; `notes`; `seconds` of each stage; with a
        second model `against`: these of that model, and under `compared` what both have in common, and the `verdict`.

    Raises:
        ConfigError: rows, groups or classes do not fit each other.
        ValueError: they are no rows of numbers, or settings are not possible.

    Example:
        >>> import torch
        >>> import intrinsic_clip as ic
        >>> x = torch.rand(500, 3, generator=torch.Generator().manual_seed(0)) @ torch.eye(3, 24)
        >>> measured = ic.measure_embeddings(x, estimators=["mle", "twonn"])
        >>> round(measured.metrics["id/twonn/x"], 1), measured.advice["dims"]
        (2.9, 3)
        >>> turned = ic.measure_embeddings(x, against=x.flip(1), estimators=["mle"])  # a rotation changes nothing
        >>> turned.against["compared"]["metrics"]["overlap/top_10"]
        1.0
    """
    rows = {"x": x, "y": y, "z": z, "against": against, "against_y": against_y}
    check_same_index(rows)
    check_sides(x, y)
    settings = Settings(estimators, k, max_points, queries, seed, device=device or "cpu")
    measure = partial(_measured, groups=groups, labels=labels, settings=settings, watch=watch, report=report)
    if against is None and against_y is None:
        return measure(x, y, z)
    from intrinsic_clip.measurement.two_models.given import check_given, measured_beside

    check_given(rows)
    return measured_beside(measure, rows, watch)


def _measured(
    x: Rows,
    y: Rows | None = None,
    z: Rows | None = None,
    *,
    groups: Grouping | Mapping[str, Ids] | Ids | None,
    labels: Ids | None,
    settings: Settings,
    watch: Watch,
    report: Callable[[int, int], object] | None,
) -> EmbeddingMeasurement:
    """Measure the embeddings of one model."""
    given = {name: rows for name, rows in (("x", x), ("y", y), ("z", z)) if rows is not None}
    native = {name: as_points(rows, name).detach() for name, rows in given.items()}
    grouping, notes = _grouped(native, groups, labels)
    counts = {name: rows.shape[-2] for name, rows in native.items() if rows.ndim > 1}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} has {n:,}" for name, n in counts.items())
        raise ValueError(f"row i of each must belong together, but {listed} rows")
    settings = replace(settings, grouping=grouping)
    if all(rows.ndim == 2 for rows in native.values()) and not every_one(settings.queries, len(native["x"])):
        sources = {name: TensorRows(rows) for name, rows in native.items()}
        content = measure_sources(sources, settings, watch=watch, report=report)
        content = {**content, "notes": [*notes, *content["notes"]]}
    else:
        sides = {name: as_matrix(rows, name) for name, rows in native.items()}
        content = _of_all(sides, settings, notes, watch, report)
    return EmbeddingMeasurement(content, native, vars(settings))


def _of_all(
    sides: dict[str, Tensor],
    settings: Settings,
    notes: list[str],
    watch: Watch,
    report: Callable[[int, int], object] | None,
) -> dict[str, Any]:
    """Return the numbers of rows each of which is asked for its neighbours."""
    k, seed, max_points, grouping = settings.k, settings.seed, settings.max_points, settings.grouping
    n = len(sides["x"])
    order = torch.randperm(n, generator=seeded(seed))
    record = Record(n, {name: rows.shape[1] for name, rows in sides.items()}, notes=notes)
    stages: list[Stage] = []
    modalities: list[Modality] = []
    for name, rows in sides.items():
        sample = rows if max_points >= len(rows) else rows[order[:max_points]]
        modalities.append(Modality(record, name, rows, sample, k, seed, report, grouping.each(name)))
        stages += modalities[-1].stages(settings.estimators)
        record.notes += doubts.said(name, doubts.doubted_array(rows))
    if "y" in sides:
        stages += pair_stages(record, sides["x"], sides["y"], order, max_points, seed, grouping)
        record.notes += doubts.said("pairs", doubts.doubted_pair(sides["x"], sides["y"]))
    if "y" not in sides or sides["x"].shape[1] != sides["y"].shape[1]:
        stages.append(("x: forms", partial(compare_alone, record, sides["x"], order, seed, grouping)))
    _run_all(record, stages, watch)
    for modality in modalities:
        told = modality.doubts()
        record.notes += doubts.said(modality.side, told)
        believe(record, modality.side, modality.evidence(told[0]))
    return _concluded(record, grouping)


def _grouped(
    native: dict[str, Tensor], groups: Grouping | Mapping[str, Ids] | Ids | None, labels: Ids | None
) -> tuple[Grouping, list[str]]:
    """Decide which rows belong together, and take the rows that this asks for."""
    if isinstance(groups, Grouping):
        return groups, []
    counts = {side: rows.shape[-2] for side, rows in native.items() if side in "xy" and rows.ndim > 1}
    arrangement = arrange(counts, groups, labels) if groups is not None or labels is not None else None
    if arrangement is None:
        return UNGROUPED, []
    for side, rows in arrangement.rows.items():
        native[side] = native[side][rows.to(native[side].device)]
    return arrangement.grouping, list(arrangement.notes)


def measure_sources(
    sources: Mapping[str, RowSource],
    settings: Settings,
    *,
    watch: Watch = iter,
    report: Callable[[int, int], object] | None = None,
) -> dict[str, Any]:
    """Measure embeddings that are read block by block, some of whose rows are asked for their neighbours among all.

    Args:
        sources: x, perhaps y, perhaps z: rows of any floating-point type.
        settings: of the measurement.
        watch, report: as for `measure_embeddings`.

    Returns:
        What `measure_embeddings` does; estimates of rows that were asked also have their number, `asked`, and
        `query_error`, the standard error of asking no more.

    Raises:
        ConfigError: rows hold NaN or infinity, and are not to be dropped.
    """
    record = Record(sources["x"].shape[0], {name: source.shape[1] for name, source in sources.items()})
    _run_all(record, LargeMeasurement(record, sources, settings, report).stages(), watch)
    return _concluded(record, settings.grouping)


def _run_all(record: Record, stages: list[Stage], watch: Watch) -> None:
    for label, work in watch(stages):
        started = time.perf_counter()
        record.notes += _run(label.partition(":")[0], work)
        record.seconds[label] = time.perf_counter() - started


def _concluded(record: Record, grouping: Grouping) -> dict[str, Any]:
    record.notes += doubts.said("pairs", [doubts.not_paired(record.curves, record.n)])
    record.notes = list(dict.fromkeys(about_files(record.notes, grouping, record.n)))
    measurement = record.as_dict()
    return measurement | {"advice": advise(measurement), "joined": grouping.joined}


@dataclass(frozen=True)
class Modality:
    """One set of rows to measure, with one search for neighbours among all rows and one in a sample.

    Attributes:
        record: receives the numbers.
        side: x, y or z.
        rows: all rows `(n, d)`.
        sample: rows for the expensive estimators; the same tensor as `rows` where all of them serve.
        k: neighbours of mle, mada and tle.
        seed: of the subsets that the curve over sample sizes draws.
        report: called during a search.
        each: places of the rows of the file, each once, where groups need copies of them; None: all are such.
    """

    record: Record
    side: str
    rows: Tensor
    sample: Tensor
    k: int
    seed: int
    report: Callable[[int, int], object] | None = None
    each: Tensor | None = None

    def stages(self, estimators: Sequence[str]) -> list[Stage]:
        """Return the stages that measure this modality."""
        searches: list[Stage] = [("neighbours", lambda: self.neighbours)]
        if self.sample is not self.rows:
            searches.append(("neighbours in the sample", lambda: self.neighbours_in_sample))
        if not any(map(registry.runs_on_all_rows, estimators)):
            searches = searches[-1:]
        stages: list[Stage] = [
            *searches,
            *((estimator_title(name), partial(self.estimate, name)) for name in estimators),
            ("spectrum", self.measure_spectrum),
            ("scales", self.measure_scales),
        ]
        return [(f"{self.side}: {label}", work) for label, work in stages]

    @cached_property
    def neighbours(self) -> Neighbours:
        """Nearest neighbours among all rows."""
        if self.sample is self.rows:
            return self.neighbours_in_sample
        return as_many_neighbours(self.rows, self.k, self.report)

    @cached_property
    def neighbours_in_sample(self) -> Neighbours:
        """Nearest neighbours in the sample, as many as any estimator uses."""
        with warnings.catch_warnings():
            if "neighbours" in vars(self):  # the search among all rows has told of them
                warnings.filterwarnings("ignore", DUPLICATES)
            return as_many_neighbours(self.sample, max(registry.WIDE, self.k), self.report)

    def estimate(self, name: str) -> None:
        """Record the intrinsic dimension by one estimator."""
        neighbours = self.neighbours if registry.runs_on_all_rows(name) else self.neighbours_in_sample
        self.record.estimate(name, self.side, self.k, neighbours)

    def doubts(self) -> list[str | None]:
        """Return why numbers that look right may not be, once all stages are done."""
        neighbours = vars(self).get("neighbours", self.neighbours_in_sample)
        rows = self.rows if "neighbours" in vars(self) else self.sample

        def compared(name: str) -> int:
            return self._distinct("neighbours" if registry.runs_on_all_rows(name) else "neighbours_in_sample")

        return doubts.doubted_estimates(self.record, self.side, self.k, rows, neighbours, compared)

    def evidence(self, doubt: str | None) -> Evidence:
        """Return what the dimension to believe follows from; `doubt` is that about distances."""
        near = vars(self).get("neighbours", self.neighbours_in_sample)
        return Evidence(
            self.neighbours_in_sample, near, lambda neighbours: neighbours.points, doubt, self.k, self.seed
        )

    def _distinct(self, which: str) -> int:
        """Return the number of rows that a search has compared; 1 if there was no such search."""
        return int(vars(self)[which].valid.sum()) if which in vars(self) else 1

    def measure_spectrum(self) -> None:
        """Record linear dimensions, and the share of the variance along each principal component.

        Copies of a row are no further draws of it, which errors would count them as.
        """
        rows = self.rows if self.each is None else self.rows[self.each.to(self.rows.device)]
        linear = {
            "participation_ratio": participation_ratio(rows),
            "effective_rank": effective_rank(rows),
            **{components_name(share): components(rows, variance=share) for share in SHARES},
        }
        self.record.add_spectrum(self.side, linear, spectrum(rows))

    def measure_scales(self) -> None:
        """Record the intrinsic dimension as a function of scale and of sample size."""
        record_scales(self.record, self.side, self.neighbours_in_sample, self.sample, self.k, self.seed)


def _run(side: str, work: Callable[[], object]) -> list[str]:
    """Run a stage and return its warnings, such as the number of duplicates, as notes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work()
    return [f"{side}: {warning.message}" for warning in caught if issubclass(warning.category, UserWarning)]
