"""Rows that are taken batch by batch during somebody else's validation or training, for all probes together."""

from typing import Any
from weakref import WeakKeyDictionary

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from intrinsic_clip.probes.embeddings import Embeddings
from intrinsic_clip.probes.sources import Source, as_rows


class Collection:
    """A seeded sample of the rows of one pass, without knowing beforehand how many will come.

    Every row is given a random number, and those with the smallest are kept; across processes likewise.

    Args:
        source: gives each batch's rows.
        max_samples: how many to keep at most.
        seed: of the sample.
    """

    def __init__(self, source: Source, max_samples: int, seed: int) -> None:
        self.source, self.max_samples, self.seed = source, max_samples, seed
        self.rows_per_batch: int | None = None
        self.clear()

    def clear(self) -> None:
        """Begin a new pass."""
        self._parts: list[dict[str, Tensor]] = []
        self._error: str | None = None
        self._place: tuple[int, ...] | None = None
        self._gathered: Embeddings | str | None = None
        self._generator: torch.Generator | None = None

    def listen(self) -> None:
        """Called before a batch that will be added."""
        if self._gathered is not None:
            self.clear()
        self.source.listen()

    @torch.no_grad()
    def add(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, place: tuple[int, ...]
    ) -> None:
        """Take the rows of a batch; asked by another probe about the same place, nothing."""
        if place == self._place or self._error is not None:
            return
        self._place = place
        try:
            with trainer.precision_plugin.forward_context():
                rows = as_rows(self.source.take(module, outputs, batch))
        except Exception as error:  # of the user's function: it must not cost the training
            self._error = f"{error}" if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            return
        self.rows_per_batch = len(rows["x"])
        if self._generator is None:
            self._generator = torch.Generator().manual_seed(self.seed * 100_003 + trainer.global_rank)
        order = torch.rand(len(rows["x"]), generator=self._generator, dtype=torch.float64)
        self._parts.append({**rows, "order": order.to(rows["x"].device)})
        if sum(len(part["order"]) for part in self._parts) > 2 * self.max_samples:
            self._parts = [_smallest(self._parts, self.max_samples)]

    def embeddings(self, trainer: Trainer) -> Embeddings | None:
        """The rows of all processes as one evaluation, on rank 0, and None elsewhere; every process must ask.

        Raises:
            ValueError: on rank 0, where there are none, or a process failed to take them.
        """
        if self._gathered is None:
            rows, errors = self._gather(trainer)
            self._parts = []
            self._gathered = "; ".join(errors) if errors else _as_embeddings(rows)
        if not trainer.is_global_zero:
            return None
        if isinstance(self._gathered, str):
            raise ValueError(self._gathered)
        return self._gathered

    def _gather(self, trainer: Trainer) -> tuple[dict[str, Tensor], list[str]]:
        """The kept rows of all processes, and what went wrong where."""
        rows = _smallest(self._parts, self.max_samples)
        found: list[Any] = [(rows, self._error)]
        if trainer.world_size > 1:
            sent = {name: tensor.cpu() for name, tensor in rows.items()}
            found = [None] * trainer.world_size
            torch.distributed.all_gather_object(found, (sent, self._error))
        device = trainer.strategy.root_device
        parts = [{name: tensor.to(device) for name, tensor in rows.items()} for rows, _ in found if rows]
        errors = list(dict.fromkeys(error for _, error in found if error))
        return _smallest(parts, self.max_samples), errors if parts or errors else ["no rows came"]


def _as_embeddings(rows: dict[str, Tensor]) -> Embeddings:
    labels = {name.removeprefix("label_"): rows[name] for name in rows if name.startswith("label_")}
    return Embeddings(rows["x"], rows.get("y"), z=rows.get("z"), labels=labels)


_collections: WeakKeyDictionary[LightningModule, dict[tuple[Source, str, int, int], Collection]] = (
    WeakKeyDictionary()
)


def collection(
    module: LightningModule, source: Source, stage: str, max_samples: int, seed: int
) -> Collection:
    """The one that all probes with the same source and sample share."""
    shared = _collections.setdefault(module, {})
    return shared.setdefault((source, stage, max_samples, seed), Collection(source, max_samples, seed))


def forget_collections(module: LightningModule) -> None:
    """Called when a fit, validation or test begins."""
    _collections.pop(module, None)


def _smallest(parts: list[dict[str, Tensor]], count: int) -> dict[str, Tensor]:
    """The rows that come first in random order, `count` of them; none of no parts."""
    if not parts:
        return {}
    rows = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    first = rows["order"].argsort()[:count]
    return {name: tensor[first] for name, tensor in rows.items()}
