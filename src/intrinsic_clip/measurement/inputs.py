"""Hold the embeddings that a command names, read once by whichever part of it needs them first."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from intrinsic_clip.measurement import group_files, loading

if TYPE_CHECKING:  # PyTorch takes seconds to import, and a finished measurement does without
    from intrinsic_clip.dimension.row_source import RowSource


class Inputs:
    """Embeddings of the settings.

    Args:
        cfg: the config, from which data and models are made.
        settings: the same, resolved.
        first: another model's embeddings of the same rows, whose groups and classes are those of these.
    """

    def __init__(self, cfg: DictConfig, settings: Mapping[str, Any], first: "Inputs | None" = None) -> None:
        self.cfg, self.settings, self.first = cfg, settings, first

    @cached_property
    def files(self) -> loading.OpenedFiles | None:
        """Files that are read block by block; None where the embeddings are read whole."""
        return loading.open_files(self.settings)

    @cached_property
    def embeddings(self) -> loading.LoadedEmbeddings:
        """Embeddings in memory, without the rows that are left out."""
        grouped = self.first is not None and group_files.wanted(self.settings)
        first = self.first.embeddings if self.first is not None and grouped else None
        embeddings = loading.load(self.cfg, self.settings, first=first)
        loading.subsample(embeddings, self.settings["subsample"], self.settings["seed"])
        return embeddings

    @cached_property
    def sources(self) -> Mapping[str, "RowSource"]:
        """Rows of x, and of y if there is one: of files, or of the embeddings in memory."""
        from intrinsic_clip.dimension.row_source import TensorRows

        if self.files is not None:
            return self.files.sources
        sides = self.embeddings.sides
        return {side: TensorRows(sides[side]) for side in loading.FILES if side in sides}

    def check_numbered(self) -> None:
        """Check that rows can be told by their numbers in the source.

        Raises:
            ConfigError: pairs were made of the groups of both sides, so that rows have no numbers.
        """
        from intrinsic_clip.errors import ConfigError

        grouping = None if self.files is not None else self.embeddings.grouping
        if grouping is not None and grouping.joined:
            raise ConfigError(
                "export: the pairs are made of the groups of x and y, so that held-out rows cannot be told; "
                "nothing is exported; give files whose rows i belong together"
            )

    @property
    def n(self) -> int:
        """Return the number of rows, with those of a file that cannot be used."""
        return self.sources["x"].shape[0]
