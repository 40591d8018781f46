"""Select finished runs by experiment and size, and read the numbers that figures draw."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from intrinsic_clip.runs.run import Run
from intrinsic_clip.runs.stored_embeddings import StoredEmbeddings
from intrinsic_clip.runs.tidy_table import collect

SIZES = ("paper", "laptop", "smoke")  # the largest first
D, N = "encoder.output_dim", "data.n_train"


@dataclass(frozen=True)
class FinishedRuns:
    """Finished runs of some experiments at one size.

    Attributes:
        size: paper, laptop or smoke.
        tables: results by experiment, as `runs.collect` returns them.
    """

    size: str
    tables: Mapping[str, pd.DataFrame]

    def __contains__(self, experiment: str) -> bool:
        return experiment in self.tables

    def select(self, required: Sequence[str], optional: Sequence[str] = ()) -> "FinishedRuns | None":
        """Return the runs of some experiments; None if a required one is missing, or all are."""
        present = [experiment for experiment in (*required, *optional) if experiment in self]
        if not present or not set(required) <= set(present):
            return None
        return FinishedRuns(self.size, {name: self.tables[name] for name in present})

    def values(self, experiment: str, metric: str, **where: Any) -> "pd.Series[float]":
        """Return one number per replicate, of the runs with these settings (`d=19` is the output dimension)."""
        return self._rows(experiment, metric, where)["value"].dropna()

    def curve(self, experiment: str, metric: str, over: str = D, **where: Any) -> pd.DataFrame:
        """Return mean, standard deviation and count over replicates: columns at (of `over`), mean, std, count."""
        rows = self._rows(experiment, metric, where).dropna(subset=["value"])
        summary = rows.groupby(over)["value"].agg(["mean", "std", "count"])
        return summary.rename_axis("at").reset_index().sort_values("at")

    def trajectory(self, experiment: str, metric: str, **where: Any) -> pd.DataFrame:
        """Return a metric over training: columns step, epoch, mean, std, count; the last row is the final one."""
        parts = []
        settings = {key: value for key, value in where.items() if key != "d"}
        for run in self._runs(experiment, metric, settings):
            table = run.history()
            table = table[table["metric"] == metric]
            if "d" in where and table["output_dim"].notna().any():
                table = table[table["output_dim"] == where["d"]]
            parts.append(table)
        summary = (
            pd.concat(parts)
            .groupby("step")
            .agg(
                epoch=("epoch", "max"), mean=("value", "mean"), std=("value", "std"), count=("value", "count")
            )
        )
        return summary.reset_index()

    def embeddings(self, experiment: str, d: int) -> StoredEmbeddings:
        """Return the held-out representations of the first replicate, `(n, d)`."""
        return next(self.all_embeddings(experiment, d))

    def all_embeddings(self, experiment: str, d: int) -> Iterator[StoredEmbeddings]:
        """Yield the held-out representations of every replicate that was kept, run after run."""
        for run in self._runs(experiment, "temperature", {"d": d}):
            for (output_dim, _), embeddings in run.kept_embeddings.items():
                if output_dim in (None, d):
                    yield embeddings

    def latent(self, experiment: str) -> NDArray[Any]:
        """Return the true latent Z of the held-out rows of synthetic data, `(R, n, k)`, of the first run."""
        kept = Run.load(self.tables[experiment]["run"].iloc[0]).kept_embeddings
        first_dim = next(iter(kept))[0]
        latents = [embeddings.z for (d, _), embeddings in kept.items() if d == first_dim]
        return np.stack([z for z in latents if z is not None])

    def output_dims(self, experiment: str) -> list[int]:
        """Return the trained output dimensions."""
        return sorted(int(d) for d in self.tables[experiment][D].unique())

    def nearest_dim(self, experiment: str, wanted: int) -> int:
        """Return the trained output dimension that is nearest to the wanted one."""
        return min(self.output_dims(experiment), key=lambda d: abs(d - wanted))

    def at_dim(self, experiments: Sequence[str], wanted: int) -> Iterator[tuple[str, int]]:
        """Yield the experiments that have been run, each with its output dimension nearest to the wanted one."""
        for experiment in experiments:
            if experiment in self:
                yield experiment, self.nearest_dim(experiment, wanted)

    def settings(self, experiment: str, column: str) -> list[Any]:
        """Return the distinct values of a setting, sorted."""
        return sorted(self.tables[experiment][column].dropna().unique())

    def row_count(self, experiment: str, split: str) -> str:
        """Return ` (of 2,000)` for a legend; "" if runs differ in the rows of this split, or they are unknown."""
        counts = self.tables[experiment][f"data.n_{split}"].dropna().unique()
        return f" (of {int(counts[0]):,})" if len(counts) == 1 else ""

    def repetitions(self, experiment: str) -> int:
        """Return the number of repetitions of each setting."""
        return int(self.tables[experiment]["replicate"].nunique())

    @cached_property
    def note(self) -> str:
        """A line for the foot of a figure: size, repetitions, data."""
        tables = self.tables.values()
        counts = sorted({int(n) for table in tables for n in table.groupby("run")["replicate"].nunique()})
        count = "–".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
        spread = "mean ± sd over " if counts[-1] > 1 else ""
        repetitions = f"{spread}{count} repetition" + "s" * (counts[-1] > 1)
        rows = {int(n) for table in tables for n in table[N].dropna().unique()}
        pairs = "–".join(f"{n:,}" for n in dict.fromkeys((min(rows), max(rows)))) if rows else "all"
        pairs += " or all" if rows and any(table[N].isna().any() for table in tables) else ""
        norm_rows = [
            t["objective.similarity.rows"] for t in self.tables.values() if "objective.similarity.rows" in t
        ]
        is_fast = any(column.notna().any() for column in norm_rows)
        norm = ", fast population norm" if is_fast else ""
        return f"size={self.size}: {repetitions}, {pairs} training pairs{norm}"

    @property
    def provenance(self) -> str:
        """Commits and PyTorch versions of the runs."""
        folders = {folder for table in self.tables.values() for folder in table["run"].unique()}
        versions = [Run.load(folder).results.get("versions", {}) for folder in sorted(folders)]
        commits = dict.fromkeys(str(v.get("commit"))[:8] for v in versions)
        torch = dict.fromkeys(str(v.get("torch")) for v in versions)
        return f"commit {', '.join(commits)}, torch {', '.join(torch)}"

    def _rows(self, experiment: str, metric: str, where: Mapping[str, Any]) -> pd.DataFrame:
        table = self.tables[experiment]
        rows = table[table["metric"] == metric]
        for key, value in where.items():
            rows = rows[rows[D if key == "d" else key] == value]
        return rows

    def _runs(self, experiment: str, metric: str, where: Mapping[str, Any]) -> Iterator[Run]:
        """Yield the runs of an experiment with these settings that have a metric."""
        for folder in self._rows(experiment, metric, where)["run"].unique():
            yield Run.load(folder)


def all_similarities(embeddings: StoredEmbeddings) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return similarities as the loss sees them: of the n positive pairs `(n,)`, and of all others `(n (n - 1),)`."""
    logits = embeddings.x @ embeddings.y.T
    return np.diag(logits), logits[~np.eye(len(logits), dtype=bool)]


def read_runs(folder: Path, experiments: Sequence[str]) -> dict[str, FinishedRuns]:
    """Return the runs of the experiments by size, the largest first; warn of unfinished ones, as `collect` does."""
    collected = {experiment: collect(folder / experiment) for experiment in experiments}
    tables = {experiment: table for experiment, table in collected.items() if "size" in table}
    by_size = {}
    for size in SIZES:
        parts = {experiment: table[table["size"] == size] for experiment, table in tables.items()}
        by_size[size] = FinishedRuns(size, {name: part for name, part in parts.items() if len(part)})
    return by_size
