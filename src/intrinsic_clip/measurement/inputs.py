"""Hold the embeddings that a command names, read once by whichever part of it needs them first."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from intrinsic_clip.measurement import group_files, loading

if TYPE_CHECKING:  # PyTorch takes seconds to import, and a finished measurement does without
    from torch import Tensor

    from intrinsic_clip.dimension.row_source import RowSource
    from intrinsic_clip.measurement.groups import Grouping


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

    @property
    def numbers(self) -> "Tensor | None":
        """Return the numbers of the rows in their source, ascending; None where all rows are there."""
        return None if self.files is not None else self.embeddings.numbers

    def usable(self) -> "Tensor":
        """Return which rows of `sources` can be measured, `(n,)`; those in memory all can."""
        import torch

        from intrinsic_clip.dimension.row_source import finite_rows

        if self.files is None:
            return torch.ones(self.n, dtype=torch.bool)
        return torch.stack([finite_rows(source) for source in self.sources.values()]).all(0)

    def places(self, numbers: "Tensor") -> "Tensor":
        """Return the places in `sources` of rows that have these numbers in their source."""
        import torch

        return numbers if self.numbers is None else torch.searchsorted(self.numbers, numbers)

    def grouping(self, numbers: "Tensor") -> "Grouping":
        """Return groups and classes of rows, by their numbers in the source.

        Raises:
            ConfigError: pairs were made of the groups of both sides, so that rows have no numbers.
        """
        from intrinsic_clip.measurement.groups import UNGROUPED

        self.check_numbered()
        grouping = None if self.files is not None else self.embeddings.grouping
        return UNGROUPED if grouping is None else grouping.at(self.places(numbers))

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

    def drawn(self, most: int) -> tuple[dict[str, "Tensor"], "Tensor"]:
        """Return rows of x, and of y if there is one, in the order in which the measurement drew them.

        Args:
            most: rows, at most.

        Returns:
            The rows by side, and their numbers in the source.
        """
        rows, order = draw(self.sources, self.usable(), self.settings["seed"], most)
        return rows, order if self.numbers is None else self.numbers[order]

    @property
    def n(self) -> int:
        """Return the number of rows, with those of a file that cannot be used."""
        return self.sources["x"].shape[0]


def draw(
    sources: Mapping[str, "RowSource"], usable: "Tensor", seed: int, most: int
) -> tuple[dict[str, "Tensor"], "Tensor"]:
    """Return rows of every source, in the order in which a measurement of this seed draws them, and their numbers.

    Args:
        sources: by side.
        usable: which rows may be drawn, `(n,)`.
        seed: of the measurement.
        most: rows, at most.
    """
    import torch

    from intrinsic_clip.seeding import seeded

    order = torch.randperm(len(usable), generator=seeded(seed))
    order = order[usable[order]][:most]
    return taken(sources, order), order


def taken(sources: Mapping[str, "RowSource"], places: "Tensor") -> dict[str, "Tensor"]:
    """Return rows of every source in float32, or in float64 where a source has that."""
    import torch

    rows = {side: source.take(places) for side, source in sources.items()}
    return {side: each if each.dtype == torch.float64 else each.float() for side, each in rows.items()}
