"""What figures read: the finished runs of some experiments at one size."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.numpy import load_file

from intrinsic_clip.runs import results, stored_embeddings, tidy_table

SIZES = ("paper", "laptop", "smoke")  # the largest first
D, N = "encoder.output_dim", "data.n_train"


@dataclass(frozen=True)
class Runs:
    """Results by experiment, as `collect.collect` gives them, of one size: paper, laptop or smoke."""

    size: str
    tables: Mapping[str, pd.DataFrame]

    def __contains__(self, experiment: str) -> bool:
        return experiment in self.tables

    def of(self, required: Sequence[str], optional: Sequence[str] = ()) -> "Runs | None":
        """Those of some experiments; None where a required one is missing, or all are."""
        there = [experiment for experiment in (*required, *optional) if experiment in self]
        complete = there and set(required) <= set(there)
        return Runs(self.size, {name: self.tables[name] for name in there}) if complete else None

    def values(self, experiment: str, metric: str, **where: Any) -> "pd.Series[float]":
        """One number per replicate, of the runs whose settings are these (`d=19` is the output dimension)."""
        return self._rows(experiment, metric, where)["value"].dropna()

    def curve(self, experiment: str, metric: str, over: str = D, **where: Any) -> pd.DataFrame:
        """Mean, standard deviation and count over replicates: columns at (of `over`), mean, std, count."""
        rows = self._rows(experiment, metric, where).dropna(subset=["value"])
        found = rows.groupby(over)["value"].agg(["mean", "std", "count"])
        return found.rename_axis("at").reset_index().sort_values("at")

    def trajectory(self, experiment: str, metric: str, **where: Any) -> pd.DataFrame:
        """The same over training: columns step, epoch, mean, std, count; the last row is that of the end."""
        parts = []
        for run in self._rows(experiment, metric, {k: v for k, v in where.items() if k != "d"})[
            "run"
        ].unique():
            table = results.read_metrics(Path(run))
            table = table[table["metric"] == metric]
            if "d" in where and table["output_dim"].notna().any():
                table = table[table["output_dim"] == where["d"]]
            parts.append(table)
        rows = pd.concat(parts)
        found = rows.groupby("step").agg(
            epoch=("epoch", "max"), mean=("value", "mean"), std=("value", "std"), count=("value", "count")
        )
        return found.reset_index()

    def embeddings(self, experiment: str, d: int) -> dict[str, NDArray[Any]]:
        """The held-out representations of the first replicate: x, y, x_raw, y_raw, `(n, d)`."""
        return {name: stack[0] for name, stack in next(self.embeddings_by_run(experiment, d)).items()}

    def embeddings_by_run(self, experiment: str, d: int) -> Iterator[dict[str, NDArray[Any]]]:
        """Run after run those of every replicate whose were kept, `(R, n, d)`."""
        for run in map(Path, self._rows(experiment, "temperature", {"d": d})["run"].unique()):
            tensors, dims = load_file(run / stored_embeddings.EMBEDDINGS), self._axis(run)
            found = {}
            for name in ("x", "y", "x_raw", "y_raw"):
                tensor = tensors[name] if dims is None else tensors[name][dims.index(d)]
                found[name] = tensor.reshape(-1, *tensor.shape[-2:])[..., :d]
            yield found

    def latent(self, experiment: str) -> NDArray[Any]:
        """The true latent Z of the held-out rows of synthetic data, `(R, n, k)`."""
        z = load_file(Path(self.tables[experiment]["run"].iloc[0]) / stored_embeddings.EMBEDDINGS)["z"]
        return z.reshape(-1, *z.shape[-2:])

    def output_dims(self, experiment: str) -> list[int]:
        """Those that were trained."""
        return sorted(int(d) for d in self.tables[experiment][D].unique())

    def nearest_dim(self, experiment: str, wanted: int) -> int:
        """The trained output dimension that is nearest to the one that is wanted."""
        return min(self.output_dims(experiment), key=lambda d: abs(d - wanted))

    def at_dim(self, experiments: Sequence[str], wanted: int) -> Iterator[tuple[str, int]]:
        """Those of the experiments that have been run, each with its output dimension nearest to the wanted one."""
        for experiment in experiments:
            if experiment in self:
                yield experiment, self.nearest_dim(experiment, wanted)

    def settings(self, experiment: str, column: str) -> list[Any]:
        """The distinct values of a setting, sorted."""
        return sorted(self.tables[experiment][column].dropna().unique())

    def rows(self, experiment: str, split: str) -> str:
        """How many rows of a split there are, as a legend says it; empty where runs differ or it is not known."""
        counts = self.tables[experiment][f"data.n_{split}"].dropna().unique()
        return f" (of {int(counts[0]):,})" if len(counts) == 1 else ""

    def repetitions(self, experiment: str) -> int:
        """How many there are of each setting."""
        return int(self.tables[experiment]["replicate"].nunique())

    @cached_property
    def note(self) -> str:
        """A line for the foot of a figure: size, repetitions, data."""
        counts = sorted({self.repetitions(experiment) for experiment in self.tables})
        many = "–".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
        spread = "mean ± sd over " if counts[-1] > 1 else ""
        repetitions = f"{spread}{many} repetition" + "s" * (counts[-1] > 1)
        rows = {int(n) for table in self.tables.values() for n in table["data.n_train"].dropna().unique()}
        pairs = "–".join(f"{n:,}" for n in dict.fromkeys((min(rows), max(rows)))) if rows else "all"
        rows_a_step = [t["loss.similarity.rows"] for t in self.tables.values() if "loss.similarity.rows" in t]
        fast = any(column.notna().any() for column in rows_a_step)
        norm = ", fast population norm" if fast else ""
        return f"size={self.size}: {repetitions}, {pairs} training pairs{norm}"

    @property
    def provenance(self) -> str:
        """Commits and PyTorch versions of the runs."""
        folders = {run for table in self.tables.values() for run in table["run"].unique()}
        versions = [(results.read_completed(Path(run)) or {}).get("versions", {}) for run in sorted(folders)]
        commits = dict.fromkeys(str(v.get("commit"))[:8] for v in versions)
        torch = dict.fromkeys(str(v.get("torch")) for v in versions)
        return f"commit {', '.join(commits)}, torch {', '.join(torch)}"

    def _rows(self, experiment: str, metric: str, where: Mapping[str, Any]) -> pd.DataFrame:
        table = self.tables[experiment]
        rows = table[table["metric"] == metric]
        for key, value in where.items():
            rows = rows[rows[D if key == "d" else key] == value]
        return rows

    def _axis(self, run: Path) -> list[int] | None:
        """The output dimensions on the first axis of a run's tensors, None where it has one."""
        config = results.read_completed(run)["config"]  # type: ignore[index]  # finished, or it were not here
        dims = config["encoder"]["output_dim"]
        return dims if isinstance(dims, list) else None


def pair_similarities(embeddings: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Similarities as the loss sees them: of the n positive pairs `(n,)`, and of all others `(n (n - 1),)`."""
    logits = embeddings["x"] @ embeddings["y"].T
    return np.diag(logits), logits[~np.eye(len(logits), dtype=bool)]


def read(folder: Path, experiments: Sequence[str]) -> dict[str, Runs]:
    """By size, the largest first, the runs of the experiments; what is unfinished is warned of, as by `collect`."""
    collected = {experiment: tidy_table.collect(folder / experiment) for experiment in experiments}
    tables = {experiment: table for experiment, table in collected.items() if "size" in table}
    found = {}
    for size in SIZES:
        parts = {experiment: table[table["size"] == size] for experiment, table in tables.items()}
        found[size] = Runs(size, {experiment: part for experiment, part in parts.items() if len(part)})
    return found
