"""Read a finished run: settings, final numbers, numbers over training, embeddings."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs import results
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.runs.stored_embeddings import StoredEmbeddings, read_embeddings


@dataclass(frozen=True)
class Run:
    """A finished run, `outputs/<experiment>/<hash>`.

    Attributes:
        folder: where it lies.
        results: what results.json holds.

    Example:
        >>> run = Run.load("outputs/demo/0123456789ab")  # doctest: +SKIP
        >>> run.settings["encoder"]["output_dim"], run.metrics["id/mle/x"]["mean"]  # doctest: +SKIP
        >>> run.embeddings().x.shape  # doctest: +SKIP
    """

    folder: Path
    results: Mapping[str, Any]

    @classmethod
    def load(cls, folder: str | Path) -> "Run":
        """Read results.json; everything else is read when it is asked for.

        Raises:
            Unfinished: the run has failed, is unfinished, or its results are damaged; the message says which.
        """
        folder = Path(folder)
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

    def history(self) -> pd.DataFrame:
        """Return numbers over training: columns step, epoch, metric, output_dim, replicate, value."""
        return results.read_metrics(self.folder)

    def embeddings(self, d: int | None = None, replicate: int | None = None) -> StoredEmbeddings:
        """Return the held-out embeddings of one training; by default the first that was kept.

        Args:
            d: its output dimension, of a run with several.
            replicate: its index, of a run with replicates.

        Raises:
            ConfigError: there is no such file, it is damaged, or the embeddings asked for were not kept.
        """
        for (output_dim, index), embeddings in self.kept_embeddings.items():
            if d in (None, output_dim) and replicate in (None, index):
                return embeddings
        kept = ", ".join(f"d={d} replicate={index}" for d, index in self.kept_embeddings)
        raise ConfigError(
            f"{self.folder}: no embeddings of d={d} replicate={replicate} were kept; there are those of {kept}"
        )

    @cached_property
    def kept_embeddings(self) -> dict[tuple[int | None, int | None], StoredEmbeddings]:
        """Held-out embeddings by (output dimension, replicate): all, or the first replicate's if all were large."""
        return read_embeddings(self.folder, self.replicates)
