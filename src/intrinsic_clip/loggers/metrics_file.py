"""Write every number of a run to metrics.csv."""

import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from intrinsic_clip.runs.atomic import naming
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.runs.results import METRICS

HEADER = "step,epoch,metric,output_dim,replicate,value\n"


class MetricsFile(Logger):
    """Append to `metrics.csv`, one row per number: step, epoch, metric, output_dim, replicate, value.

    This long form takes new metrics at any time and can be cut back to a checkpoint; Lightning's CSVLogger can do
    neither. `pandas.read_csv(…).pivot_table(index="step", columns="metric", values="value")` gives the wide form.

    Args:
        folder: the run folder.
        buffer: how many rows may wait in memory before they are written.
    """

    def __init__(self, folder: str, buffer: int = 2000) -> None:
        super().__init__()
        self.path, self.buffer = Path(folder) / METRICS, buffer
        self._rows: list[str] = []

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "metrics"

    @property
    def version(self) -> str:
        """Empty: a run folder holds one run."""
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add one row per number; other values are ignored."""
        epoch = metrics.get("epoch", "")
        for name, value in metrics.items():
            if name != "epoch" and isinstance(value, int | float):
                self._rows.append(f"{step},{epoch},{name},,,{value!r}\n")
        self._flush_if_full()

    @rank_zero_only
    def log_each(
        self, metrics: Mapping[str, Tensor], replicates: Replicates, steps: Sequence[int], epoch: int
    ) -> None:
        """Add one row per step, number and replicate.

        Args:
            metrics: by name, `(steps, *R)` each.
        """
        labels = [
            ",".join("" if axis is None else str(axis) for axis in label) for label in replicates.labels()
        ]
        columns = [(name, value.double().reshape(len(steps), -1).tolist()) for name, value in metrics.items()]
        for index, step in enumerate(steps):
            for name, rows in columns:
                if len(rows[index]) != len(labels):  # a user's module, which may have axes of its own
                    labels = [f",{replicate}" for replicate in range(len(rows[index]))]
                for label, number in zip(labels, rows[index], strict=True):
                    self._rows.append(f"{step},{epoch},{name},{label},{number!r}\n")
        self._flush_if_full()

    def _flush_if_full(self) -> None:
        if len(self._rows) > self.buffer:
            self.flush()

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run folder holds the resolved config."""

    @rank_zero_only
    def flush(self) -> int:
        """Write the rows that wait, and return the file's size in bytes."""
        rows, self._rows = self._rows, []
        with naming(self.path), self.path.open("a") as file:
            if file.tell() == 0:
                file.write(HEADER)
            file.writelines(rows)
            file.flush()
            os.fsync(file.fileno())
            return file.tell()

    @rank_zero_only
    def truncate(self, size: int) -> None:
        """Cut the file back to `size` bytes; rows that wait are kept, since they belong to the run that begins."""
        if self.path.exists():
            os.truncate(self.path, size)

    @rank_zero_only
    def save(self) -> None:
        """Write the rows that wait, if there are any; Lightning calls it."""
        if self._rows:
            self.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the rows that wait, also after a failure."""
        self.save()
