"""Select finished runs by experiment and size, and read the numbers that figures draw."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from intrinsic_clip.paper_figures.comparable_runs import MOST_NAMED, OUTPUT_DIM, REPETITION, comparable
from intrinsic_clip.runs.chunk_folders import whole_run
from intrinsic_clip.runs.run import Run
from intrinsic_clip.runs.stored_embeddings import StoredEmbeddings
from intrinsic_clip.runs.tidy_table import collect

SIZES = ("paper", "laptop", "smoke")  # the largest first
D, N = OUTPUT_DIM, "data.n_train"
SHOWN_DIM = 19  # output dimension of the panels that show one alone, as in the paper
T = TypeVar("T")


@dataclass(frozen=True)
class FinishedRuns:
    """Finished runs of some experiments at one size.

    Attributes:
        size: paper, laptop or smoke.
        tables: results by experiment, as `runs.collect` returns them.
        departures: settings that differ from the file of an experiment, as `trainer.max_epochs=3`, by experiment.
        partial: of experiments that sweep over settings of which some have no run yet, how many have one, of how many.
        diverged: number of trainings that are left out since they have diverged, by experiment.
    """

    size: str
    tables: Mapping[str, pd.DataFrame]
    departures: Mapping[str, str] = field(default_factory=dict)
    partial: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    diverged: Mapping[str, int] = field(default_factory=dict)

    def __contains__(self, experiment: str) -> bool:
        return experiment in self.tables

    def select(self, required: Sequence[str], optional: Sequence[str] = ()) -> "FinishedRuns | None":
        """Return the runs of some experiments; None if a required one is missing, or all are."""
        present = [experiment for experiment in (*required, *optional) if experiment in self]
        if not present or not set(required) <= set(present):
            return None
        return FinishedRuns(
            self.size,
            {name: self.tables[name] for name in present},
            _of(present, self.departures),
            _of(present, self.partial),
            _of(present, self.diverged),
        )

    @property
    def reservations(self) -> int:
        """Number of experiments that are unfinished, or trained with settings other than their files say."""
        unfinished = {name for name, table in self.tables.items() if _unfinished(table)}
        return len(unfinished | set(self.departures) | set(self.partial))

    def values(self, experiment: str, metric: str, **where: Any) -> "pd.Series[float]":
        """Return one number per replicate, of the runs with these settings (`d=19` is the output dimension)."""
        return self._rows(experiment, metric, where)["value"].dropna()

    def curve(self, experiment: str, metric: str, over: str = D, **where: Any) -> pd.DataFrame:
        """Return mean, standard deviation and count over replicates: columns at (of `over`), mean, std, count."""
        rows = self._rows(experiment, metric, where).dropna(subset=["value"])
        summary = rows.groupby(over)["value"].agg(["mean", "std", "count"])
        return summary.rename_axis("at").reset_index().sort_values("at")

    def trajectory(self, experiment: str, metric: str, **where: Any) -> pd.DataFrame:
        """Return a metric over training: columns step, epoch, mean, std, count; the last row is the final one.

        Steps at which some of the trainings have no row are left out: runs of other sizes keep other steps.
        """
        parts = []
        for run, replicates in self._runs(experiment, metric, where):
            table = run.history()
            table = table[(table["metric"] == metric) & table["replicate"].fillna(0).isin(replicates)]
            if "d" in where and table["output_dim"].notna().any():
                table = table[table["output_dim"] == where["d"]]
            parts.append(table)
        table = pd.concat(parts) if parts else pd.DataFrame(columns=["step", "epoch", "value"], dtype=float)
        summary = table.groupby("step").agg(
            epoch=("epoch", "max"),
            mean=("value", "mean"),
            std=("value", "std"),
            count=("value", "count"),
            rows=("value", "size"),
        )
        return summary[summary["rows"] == summary["rows"].max()].drop(columns="rows").reset_index()

    def embeddings(self, experiment: str, d: int) -> StoredEmbeddings:
        """Return the held-out representations of the first replicate, `(n, d)`."""
        return next(self.all_embeddings(experiment, d))

    def all_embeddings(self, experiment: str, d: int) -> Iterator[StoredEmbeddings]:
        """Yield the held-out representations of every replicate that was kept, run after run."""
        for run, replicates in self._runs(experiment, "temperature", {"d": d}):
            for (output_dim, index), embeddings in run.kept_embeddings.items():
                if output_dim in (None, d) and (index or 0) in replicates:
                    yield embeddings

    def latent(self, experiment: str) -> NDArray[Any]:
        """Return the true latent Z of the held-out rows of synthetic data, `(R, n, k)`, of the replicates kept."""
        first_dim = self.output_dims(experiment)[0]
        latents = [embeddings.z for embeddings in self.all_embeddings(experiment, first_dim)]
        return np.stack([z for z in latents if z is not None])

    def output_dims(self, experiment: str) -> list[int]:
        """Return the trained output dimensions."""
        return sorted(int(d) for d in self.tables[experiment][D].unique())

    def shown_dim(self, experiment: str) -> int:
        """Return the trained output dimension that is nearest to SHOWN_DIM."""
        return min(self.output_dims(experiment), key=lambda d: abs(d - SHOWN_DIM))

    def shown_dims(self, experiments: Sequence[str]) -> Iterator[tuple[str, int]]:
        """Yield the experiments that have been run, each with its output dimension nearest to SHOWN_DIM."""
        for experiment in experiments:
            if experiment in self:
                yield experiment, self.shown_dim(experiment)

    def settings(self, experiment: str, column: str) -> list[Any]:
        """Return the distinct values of a setting, sorted."""
        return sorted(self.tables[experiment][column].dropna().unique())

    def row_count(self, experiment: str, split: str) -> str:
        """Return ` (of 2,000)` for a legend; "" if runs differ in the rows of this split, or they are unknown."""
        counts = self.tables[experiment][f"data.n_{split}"].dropna().unique()
        return f" (of {int(counts[0]):,})" if len(counts) == 1 else ""

    def repetitions(self, experiment: str, **where: Any) -> int:
        """Return the number of repetitions of each setting, of runs with these; where it differs, the largest."""
        return max(_repetitions(self._table(experiment, where)))

    @property
    def trained(self) -> str:
        """The size, and what differs from it: `smoke, but trainer.max_epochs=3`, with the experiment among several."""
        alone = len(self.tables) == 1
        parts = [text if alone else f"{name} with {text}" for name, text in self.departures.items()]
        return ", but ".join([self.size, *(["; ".join(parts)] if parts else [])])

    @cached_property
    def note(self) -> str:
        """A line for the foot of a figure: size, repetitions, data."""
        tables = self.tables.values()
        counts = sorted({count for table in tables for count in _repetitions(table)})
        count = "–".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
        spread = "mean ± sd over " if counts[-1] > 1 else ""
        repetitions = (
            f"{spread}{count} repetition{'s' * (counts[-1] > 1)}{self._unfinished()}{self.settings_made}"
            f"{self._diverged()}"
        )
        rows = {int(n) for table in tables for n in table[N].dropna().unique()}
        pairs = "–".join(f"{n:,}" for n in dict.fromkeys((min(rows), max(rows)))) if rows else "all"
        pairs += " or all" if rows and any(table[N].isna().any() for table in tables) else ""
        norm_rows = [
            t["objective.similarity.rows"] for t in self.tables.values() if "objective.similarity.rows" in t
        ]
        is_fast = any(column.notna().any() for column in norm_rows)
        norm = ", fast population norm" if is_fast else ""
        return f"size={self.trained}: {repetitions}, {pairs} training pairs{norm}"

    def _unfinished(self) -> str:
        """Return ` so far, of 50` where runs are unfinished, with the experiments where it is not all of them."""
        totals = {name: max(totals) for name, table in self.tables.items() if (totals := _unfinished(table))}
        if len(self.tables) == 1:
            return "".join(f" so far, of {total}" for total in totals.values())
        return "".join(f", {name} so far, of {total}" for name, total in totals.items())

    def _diverged(self) -> str:
        """Return `, 2 trainings diverged` of those that are left out; "" if none are."""
        count = sum(self.diverged.values())
        return f", {count} training{'s' * (count > 1)} diverged" if count else ""

    @property
    def settings_made(self) -> str:
        """Return `, 1 of 5 settings so far` where a sweep is not done, with the experiment among several."""
        alone = len(self.tables) == 1
        return "".join(
            f", {'' if alone else f'{name} '}{made} of {of} settings so far"
            for name, (made, of) in self.partial.items()
        )

    @property
    def provenance(self) -> str:
        """Commits and PyTorch versions of the runs."""
        folders = {folder for table in self.tables.values() for folder in table["run"].unique()}
        versions = [Run.load(folder).results.get("versions", {}) for folder in sorted(folders)]
        commits = dict.fromkeys(str(v.get("commit"))[:8] for v in versions)
        torch = dict.fromkeys(str(v.get("torch")) for v in versions)
        return f"commit {', '.join(commits)}, torch {', '.join(torch)}"

    def _rows(self, experiment: str, metric: str, where: Mapping[str, Any]) -> pd.DataFrame:
        table = self._table(experiment, where)
        return table[table["metric"] == metric]

    def _table(self, experiment: str, where: Mapping[str, Any]) -> pd.DataFrame:
        """Return the rows of the runs with these settings."""
        table = self.tables[experiment]
        for key, value in where.items():
            table = table[table[D if key == "d" else key] == value]
        return table

    def _runs(self, experiment: str, metric: str, where: Mapping[str, Any]) -> Iterator[tuple[Run, set[int]]]:
        """Yield the runs of an experiment with these settings that have a metric, and which replicates count."""
        for folder, rows in self._rows(experiment, metric, where).groupby("run", sort=False):
            yield Run.load(str(folder)), set(rows["replicate"])


def all_similarities(embeddings: StoredEmbeddings) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return similarities as the loss sees them: of the n positive pairs `(n,)`, and of all others `(n (n - 1),)`."""
    logits = embeddings.x @ embeddings.y.T
    return np.diag(logits), logits[~np.eye(len(logits), dtype=bool)]


def setting_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns that are equal for repetitions of one training, and differ between trainings."""
    return ["setting" if "setting" in table else "run", *({D} & set(table))]


def _of(experiments: Sequence[str], facts: Mapping[str, T]) -> dict[str, T]:
    """Return the facts on some experiments."""
    return {name: facts[name] for name in experiments if name in facts}


def read_runs(folder: Path, experiments: Sequence[str]) -> dict[str, FinishedRuns]:
    """Return the runs of the experiments by size, the largest first.

    Repetitions that an unfinished run has finished count. Warns of unfinished runs, as `collect` does, and of runs
    that are left out because they have no size, because their settings differ from those of others, or because they
    have diverged.
    """
    collected = {experiment: collect(folder / experiment, unfinished=True) for experiment in experiments}
    tables = {
        name: table if "size" in table else table.assign(size=None) for name, table in collected.items()
    }
    for sentence in (sentence for table in tables.values() for sentence in _without_size(table)):
        warnings.warn(sentence, stacklevel=2)
    by_size = {}
    for size in SIZES:
        parts = {experiment: table[table["size"] == size] for experiment, table in tables.items()}
        chosen = {name: comparable(name, size, part) for name, part in parts.items() if len(part)}
        diverged = {
            name: trainings
            for name, runs in chosen.items()
            if len(trainings := _diverged_trainings(runs.table))
        }
        sentences = [sentence for runs in chosen.values() for sentence in runs.left_out]
        for sentence in (*sentences, *(_left_out(trainings) for trainings in diverged.values())):
            warnings.warn(sentence, stacklevel=2)
        finite = {name: _without(runs.table, diverged.get(name)) for name, runs in chosen.items()}
        chosen = {name: runs for name, runs in chosen.items() if len(finite[name])}
        by_size[size] = FinishedRuns(
            size,
            {name: finite[name] for name in chosen},
            {name: runs.departure for name, runs in chosen.items() if runs.departure},
            {name: runs.partial for name, runs in chosen.items() if runs.partial},
            {name: len(trainings) for name, trainings in diverged.items() if name in chosen},
        )
    return by_size


def _diverged_trainings(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each training whose last loss is not finite, with the columns that tell trainings apart."""
    lost = table[(table["metric"] == "loss") & ~np.isfinite(table["value"].astype(float))]
    return lost[_training_columns(table)]


def _without(table: pd.DataFrame, trainings: pd.DataFrame | None) -> pd.DataFrame:
    """Return the rows of all but some trainings."""
    if trainings is None:
        return table
    columns = _training_columns(table)
    return table[~pd.MultiIndex.from_frame(table[columns]).isin(pd.MultiIndex.from_frame(trainings))]


def _training_columns(table: pd.DataFrame) -> list[str]:
    return ["run", "replicate", *({D} & set(table))]


def _left_out(diverged: pd.DataFrame) -> str:
    """Return a sentence that says how many trainings have diverged, and names their runs."""
    trainings = "1 training" if len(diverged) == 1 else f"{len(diverged)} trainings"
    return f"{trainings} of {_listed(diverged['run'])} left out of figures: the loss is not finite"


def _without_size(table: pd.DataFrame) -> list[str]:
    """Return a sentence that names the runs of no size, if there are any."""
    runs = table["run"][table["size"].isna()]
    if runs.empty:
        return []
    return [
        f"{_listed(runs)} left out of figures: trained without size=; "
        f"figures show runs trained with size={', '.join(SIZES[:-1])} or {SIZES[-1]}"
    ]


def _listed(runs: "pd.Series[str]") -> str:
    """Return the first distinct runs by name, and how many others there are."""
    names = list(runs.unique())
    more = f" and {len(names) - MOST_NAMED} other runs" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"


def _repetitions(table: pd.DataFrame) -> list[int]:
    """Return the number of repetitions of each setting at each output dimension."""
    setting = setting_columns(table)
    trainings = table.drop_duplicates([*setting, *(column for column in REPETITION if column in table)])
    return [int(n) for n in trainings.groupby(setting, dropna=False).size()]


def _unfinished(table: pd.DataFrame) -> list[int]:
    """Return the number of repetitions that each unfinished run is to have."""
    chunks = table["run"].map(lambda run: whole_run(Path(run)) != Path(run))
    return [int(n) for n in table["replicates"][chunks].unique()] if chunks.any() else []
