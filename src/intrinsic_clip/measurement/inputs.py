"""Hold the embeddings that a command names, read once by whichever part of it needs them first."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from intrinsic_clip.measurement import loading

if TYPE_CHECKING:  # PyTorch takes seconds to import, and a finished measurement does without
    from torch import Tensor

    from intrinsic_clip.dimension.row_source import RowSource
    from intrinsic_clip.measurement.groups import Grouping


class Inputs:
    """Embeddings of the settings.

    Args:
        cfg: the config, from which data and models are made.
        settings: the same, resolved.
    """

    def __init__(self, cfg: DictConfig, settings: Mapping[str, Any]) -> None:
        self.cfg, self.settings = cfg, settings

    @cached_property
    def files(self) -> loading.OpenedFiles | None:
        """Files that are read block by block; None where the embeddings are read whole."""
        return loading.open_files(self.settings)

    @cached_property
    def embeddings(self) -> loading.LoadedEmbeddings:
        """Embeddings in memory, without the rows that are left out."""
        embeddings = loading.load(self.cfg, self.settings)
        loading.subsample(embeddings, self.settings["subsample"], self.settings["seed"])
        return embeddings

    def grouping(self, numbers: "Tensor") -> "Grouping":
        """Return groups and classes of rows, by their numbers in the source.

        Raises:
            ConfigError: pairs were made of the groups of both sides, so that rows have no numbers.
        """
        import torch

        from intrinsic_clip.errors import ConfigError
        from intrinsic_clip.measurement.groups import UNGROUPED

        grouping = None if self.files is not None else self.embeddings.grouping
        if grouping is None:
            return UNGROUPED
        if grouping.joined:
            raise ConfigError(
                "export: the pairs are made of the groups of x and y, so that held-out rows cannot be told; "
                "nothing is exported; give files whose rows i belong together"
            )
        own = self.embeddings.numbers
        return grouping.at(numbers if own is None else torch.searchsorted(own, numbers))

    def drawn(self, most: int) -> tuple[dict[str, "Tensor"], "Tensor"]:
        """Return rows of x, and of y if there is one, in the order in which the measurement drew them.

        Args:
            most: rows, at most.

        Returns:
            The rows by side, and their numbers in the source.
        """
        import torch

        from intrinsic_clip.dimension.row_source import TensorRows, finite_rows

        seed = self.settings["seed"]
        if self.files is not None:
            sources = self.files.sources
            usable = torch.stack([finite_rows(source) for source in sources.values()]).all(0)
            return draw(sources, usable, seed, most)
        sides = {side: rows for side, rows in self.embeddings.sides.items() if side in loading.FILES}
        usable = torch.ones(len(sides["x"]), dtype=torch.bool)
        rows, order = draw({side: TensorRows(each) for side, each in sides.items()}, usable, seed, most)
        numbers = self.embeddings.numbers
        return rows, order if numbers is None else numbers[order]

    @property
    def n(self) -> int:
        """Return the number of rows, with those of a file that cannot be used."""
        if self.files is not None:
            return self.files.sources["x"].shape[0]
        return len(self.embeddings.sides["x"])


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

    order = torch.randperm(len(usable), generator=torch.Generator().manual_seed(seed))
    order = order[usable[order]][:most]
    taken = {side: source.take(order) for side, source in sources.items()}
    return {
        side: each if each.dtype == torch.float64 else each.float() for side, each in taken.items()
    }, order
