"""Read a finished run: settings, final numbers, numbers over training, embeddings."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from intrinsic_clip.errors import ConfigError, Unfinished
from intrinsic_clip.runs import results
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.runs.stored_embeddings import EMBEDDINGS, StoredEmbeddings, read_embeddings


@dataclass(frozen=True)
class Run:
    """A finished run, `outputs/<experiment>/<hash>`.

    Attributes:
        folder: the run folder.
        results: the content of results.json.

    Example:
        >>> run = Run.load("outputs/demo/0123456789ab")  # doctest: +SKIP
        >>> run.settings["encoder"]["output_dim"], run.metrics["id/mle/x"]["mean"]  # doctest: +SKIP
        >>> run.embeddings().x.shape  # doctest: +SKIP
    """

    folder: Path
    results: Mapping[str, Any]

    @classmethod
    def load(cls, folder: str | Path) -> "Run":
        """Read results.json; metrics over training and embeddings are read when they are asked for.

        Raises:
            Unfinished: the run has failed, is unfinished, or its results are damaged; the message says which.
        """
        folder = Path(folder).expanduser()
        if not os.path.isdir(folder):  # which takes names that are too long, too
            raise Unfinished("is a file, not a folder" if os.path.exists(folder) else "no such folder")
        return cls(folder, results.read(folder))

    @property
    def settings(self) -> Mapping[str, Any]:
        """The resolved config."""
        return self.results["config"]

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """Final numbers by name, each with mean, std and values over the replicates."""
        return self.results["metrics"]

    @property
    def replicates(self) -> Replicates:
        """Output dimensions and repetitions of the run."""
        return Replicates.of(self.settings)

    @property
    def output_dim(self) -> int | None:
        """Output dimension that all its trainings share; None if it has several, or the encoder decides it."""
        output_dim = self.settings["encoder"].get("output_dim")
        return output_dim if isinstance(output_dim, int) else None

    def history(self) -> pd.DataFrame:
        """Return numbers over training: columns step, epoch, metric, output_dim, replicate, value.

        Raises:
            ConfigError: metrics.csv is missing or damaged.
        """
        return results.read_metrics(self.folder, self._fingerprint(results.METRICS))

    def embeddings(self, d: int | None = None, replicate: int | None = None) -> StoredEmbeddings:
        """Return the held-out embeddings of one training; by default the first that was kept.

        Args:
            d: its output dimension.
            replicate: its index; a run without replicates is replicate 0.

        Raises:
            ConfigError: the file is missing or damaged, or the embeddings asked for were not kept.
        """
        kept = self.kept_embeddings
        for (output_dim, index), embeddings in kept.items():
            if d in (None, output_dim or self.output_dim) and replicate in (None, index or 0):
                return embeddings
        choices = ", ".join(f"d={dim or self.output_dim} replicate={index or 0}" for dim, index in kept)
        wanted = " ".join(f"{k}={v}" for k, v in {"d": d, "replicate": replicate}.items() if v is not None)
        raise ConfigError(f"{self.folder}: no embeddings of {wanted} were kept, only those of {choices}")

    @property
    def kept_embeddings(self) -> dict[tuple[int | None, int | None], StoredEmbeddings]:
        """Held-out embeddings by (output dimension, replicate), read at each access.

        The keys are those of `Replicates.labels()`: all of them, or the first replicate's if all were large.
        """
        return read_embeddings(self.folder, self.replicates, self._fingerprint(EMBEDDINGS))

    def _fingerprint(self, name: str) -> Mapping[str, Any] | None:
        """Return the fingerprint that results.json keeps of another file of the run; version 0 kept none."""
        return self.results.get("files", {}).get(name)
