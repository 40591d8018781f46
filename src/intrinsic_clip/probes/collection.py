"""Gather rows batch by batch during the validation or training of any LightningModule, for all probes together."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from intrinsic_clip.probes.embeddings import Embeddings, temperature_of
from intrinsic_clip.probes.sources import Source, as_rows

Stage = Literal["train", "validate", "test"]


class Collector(ABC):
    """Gathers what a probe measures from the batches of one pass.

    Attributes:
        rows_per_batch: rows of the last batch, from which a probe computes how many batches before it is due it must
            begin to collect; None: it collects all.
    """

    rows_per_batch: int | None = None

    @abstractmethod
    def listen(self) -> None:
        """Prepare for a batch that `add` will be given; begin a new pass after `collected`."""

    @abstractmethod
    def add(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, place: tuple[int, ...]
    ) -> None:
        """Take what is needed from a batch and its step's output; errors are kept for `collected` to raise.

        Args:
            place: where the batch is in the pass; probes that share the collector add the same batch once each.
        """

    @abstractmethod
    def collected(self, trainer: Trainer, module: LightningModule) -> Any:
        """Return what was gathered, for `measure`, on rank 0, and None elsewhere; every process must call it.

        Raises:
            ValueError: on rank 0, where nothing was gathered or gathering failed.
        """


class RowCollector(Collector):
    """Keeps a seeded sample of the rows of one pass, without knowing beforehand how many will come.

    Every row gets a random number, and the rows with the smallest are kept, across processes too.

    Args:
        source: gives each batch's rows.
        max_samples: how many to keep at most.
        seed: of the sample.
    """

    def __init__(self, source: Source, max_samples: int, seed: int) -> None:
        self.source, self.max_samples, self.seed = source, max_samples, seed
        self.clear()

    def clear(self) -> None:
        """Begin a new pass."""
        self._parts: list[dict[str, Tensor]] = []
        self._error: str | None = None
        self._place: tuple[int, ...] | None = None
        self._gathered: Embeddings | str | None = None
        self._generator: torch.Generator | None = None

    def listen(self) -> None:
        """Prepare for a batch that will be added."""
        if self._gathered is not None:
            self.clear()
        self.source.listen()

    @torch.no_grad()
    def add(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, place: tuple[int, ...]
    ) -> None:
        """Take the rows of a batch, once however many probes add it."""
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

    def collected(self, trainer: Trainer, module: LightningModule) -> Embeddings | None:
        """Return the rows of all processes as one evaluation on rank 0, and None elsewhere.

        Raises:
            ValueError: on rank 0, where there are no rows, or a process failed to take them.
        """
        if self._gathered is None:
            rows, errors = self._gather(trainer)
            self._parts = []
            self._gathered = "; ".join(errors) if errors else _as_embeddings(rows)
        if not trainer.is_global_zero:
            return None
        if isinstance(self._gathered, str):
            raise ValueError(self._gathered)
        if self._gathered.tau is None:
            self._gathered.tau = temperature_of(module)
        return self._gathered

    def _gather(self, trainer: Trainer) -> tuple[dict[str, Tensor], list[str]]:
        """Return the kept rows of all processes, and the errors of all."""
        rows = _smallest(self._parts, self.max_samples)
        shares: list[Any] = [(rows, self._error)]
        if trainer.world_size > 1:
            sent = {name: tensor.cpu() for name, tensor in rows.items()}
            shares = [None] * trainer.world_size
            torch.distributed.all_gather_object(shares, (sent, self._error))
        device = trainer.strategy.root_device
        parts = [{name: tensor.to(device) for name, tensor in rows.items()} for rows, _ in shares if rows]
        errors = list(dict.fromkeys(error for _, error in shares if error))
        return _smallest(parts, self.max_samples), errors if parts or errors else ["no rows came"]


def _as_embeddings(rows: dict[str, Tensor]) -> Embeddings:
    labels = {name.removeprefix("label_"): rows[name] for name in rows if name.startswith("label_")}
    return Embeddings(rows["x"], rows.get("y"), z=rows.get("z"), labels=labels)


_collectors: WeakKeyDictionary[LightningModule, dict[Hashable, Collector]] = WeakKeyDictionary()


def shared_collector(module: LightningModule, key: Hashable, make: Callable[[], Collector]) -> Collector:
    """Return the collector that all probes of a module with the same key share, made by the first that asks."""
    shared = _collectors.setdefault(module, {})
    if key not in shared:
        shared[key] = make()
    return shared[key]


def forget_collectors(module: LightningModule) -> None:
    """Drop a module's collectors, with their rows, when a fit, validation or test begins or ends."""
    _collectors.pop(module, None)


def _smallest(parts: list[dict[str, Tensor]], count: int) -> dict[str, Tensor]:
    """Return the `count` rows that come first in random order; an empty dict if there are no parts."""
    if not parts:
        return {}
    rows = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    first = rows["order"].argsort()[:count]
    return {name: tensor[first] for name, tensor in rows.items()}
