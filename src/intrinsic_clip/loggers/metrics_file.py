"""Write every number of a run to metrics.csv."""

import csv
import hashlib
import io
import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from intrinsic_clip.runs.atomic import naming
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.runs.results import CHECKPOINT, COLUMNS, METRICS
from intrinsic_clip.runs.sealed import CHANGED, Damaged

HEADER = ",".join(COLUMNS) + "\n"


def check_beginning(path: Path, size: int, sha256: str | None) -> None:
    """Require that a metrics file begins with what it held at a checkpoint.

    Args:
        path: of the file.
        size: in bytes, at the checkpoint.
        sha256: of these bytes; None: the checkpoint is of a version that did not keep it.

    Raises:
        Damaged: it is missing, shorter or begins otherwise.
    """
    length, digest = _beginning(path, size) if path.exists() else (0, hashlib.sha256())
    remedy = f"delete it and {CHECKPOINT} to train the run anew"
    if length < size:
        raise Damaged(path, f"{size - length:,} bytes shorter than at the last checkpoint", remedy)
    if sha256 is not None and digest.hexdigest() != sha256:
        raise Damaged(path, f"{CHANGED} from that at the last checkpoint", remedy)


def _beginning(path: Path, size: int) -> tuple[int, "hashlib._Hash"]:
    """Return how many of the first `size` bytes there are, and their digest."""
    length, digest = 0, hashlib.sha256()
    with naming(path), path.open("rb") as file:
        while block := file.read(min(size - length, 2**20)):
            length += len(block)
            digest.update(block)
    return length, digest


@cache
def _quoted(name: str) -> str:
    """Return a metric's name as a field of the file: quoted where a comma, a quote or a new line is in it."""
    row = io.StringIO()
    csv.writer(row, lineterminator="\n").writerow([name])
    return row.getvalue().removesuffix("\n")


class MetricsFile(Logger):
    """Append to `metrics.csv`, one row per number: step, epoch, metric, output_dim, replicate, value.

    This long form takes new metrics at any time and can be cut back to a checkpoint; Lightning's CSVLogger can do
    neither. `pandas.read_csv(…).pivot_table(index="step", columns="metric", values="value")` gives the wide form.

    Args:
        folder: the run folder.
        buffer: how many rows may wait in memory before they are written.
        at_once: replicates in the largest chunk of the run, by which numbers of single steps are thinned out; None:
            as many as the module has.
    """

    def __init__(self, folder: str, buffer: int = 2000, at_once: int | None = None) -> None:
        super().__init__()
        self.path, self.buffer, self.at_once = Path(folder) / METRICS, buffer, at_once
        self._rows: list[str] = []
        self._size, self._digest = 0, hashlib.sha256()  # of what is in the file

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
        epoch, at = metrics.get("epoch", ""), "" if step is None else step
        for name, value in metrics.items():
            if name != "epoch" and isinstance(value, int | float):
                self._rows.append(f"{at},{epoch},{_quoted(name)},,,{value!r}\n")
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
        columns = [
            (_quoted(name), value.double().reshape(len(steps), -1).tolist())
            for name, value in metrics.items()
        ]
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
        with naming(self.path), self.path.open("ab") as file:
            if file.tell() != self._size:
                self._size, self._digest = _beginning(self.path, file.tell())
            text = "".join([*([] if self._size else [HEADER]), *rows]).encode(errors="backslashreplace")
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self._size += len(text)
        self._digest.update(text)
        return self._size

    @property
    def sha256(self) -> str:
        """SHA-256 of the file after the last `flush`."""
        return self._digest.hexdigest()

    @rank_zero_only
    def truncate(self, size: int, sha256: str | None = None) -> None:
        """Cut the file back to `size` bytes; rows that wait are kept, since they belong to the run that begins.

        Args:
            size: in bytes, at the checkpoint.
            sha256: of these bytes, where the checkpoint keeps it.

        Raises:
            Damaged: it does not begin with these bytes.
        """
        check_beginning(self.path, size, sha256)
        if self.path.exists():
            with naming(self.path):
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
