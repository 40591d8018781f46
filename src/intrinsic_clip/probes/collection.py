"""Gather rows batch by batch during the validation or training of any LightningModule, for all probes together."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from intrinsic_clip.errors import reason_of
from intrinsic_clip.measurement.parts import LABEL, without_odd_rows
from intrinsic_clip.probes.embeddings import Embeddings, Side
from intrinsic_clip.probes.loaders import padding_rows
from intrinsic_clip.probes.rows import as_rows
from intrinsic_clip.probes.sources import Source
from intrinsic_clip.probes.temperature_uses import Temperature, known_temperature
from intrinsic_clip.seeding import seeded


class Collector(ABC):
    """Gathers what a probe measures from the batches of one pass.

    In training, a pass goes on until a measurement is due, and nobody knows beforehand when that will be: a collector
    is given every batch, and keeps no more than the latest.
    """

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
        self.sides: tuple[Side, ...] | None = None  # of the latest rows; None before any came
        self.clear()

    def clear(self) -> None:
        """Begin a new pass."""
        self._parts: list[dict[str, Tensor]] = []
        self._rows = 0
        self._error: str | None = None
        self._place: tuple[int, ...] | None = None
        self._gathered: Embeddings | str | None = None
        self._generator: torch.Generator | None = None
        self._temperature: Temperature | None = None  # when the first batch came

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
        rows = self._take(trainer, module, outputs, batch)
        if isinstance(rows, str):
            self._error = rows
            return
        if self._temperature is None:  # now, since averaged weights may be gone when rows are measured
            self._temperature = _temperature_now(module)
        self._parts.append(self._ordered(trainer, rows))
        if sum(len(part["order"]) for part in self._parts) > 2 * self.max_samples:
            self._parts = [_smallest(self._parts, self.max_samples)]

    def _take(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any
    ) -> dict[str, Tensor] | str:
        """Return a copy of a batch's rows, or the error of the user's function: it must not cost the training.

        Loaders, modules and compiled graphs may write the next batch to the same memory, and a slice would keep all of
        a larger tensor.
        """
        try:
            with trainer.precision_plugin.forward_context():
                rows = as_rows(self.source.take(module, outputs, batch))
                self.sides = ("x", "y") if "y" in rows else ("x",)
                return {name: values.clone() for name, values in rows.items()}
        except Exception as error:
            return f"{error}" if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"

    def _ordered(self, trainer: Trainer, rows: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return rows with a random number each, and their place in the pass."""
        if self._generator is None:
            self._generator = seeded(self.seed * 100_003 + trainer.global_rank)
        n, device = len(rows["x"]), rows["x"].device
        order = torch.rand(n, generator=self._generator, dtype=torch.float64)
        index = torch.arange(self._rows, self._rows + n)
        self._rows += n
        return {**rows, "order": order.to(device), "index": index.to(device)}

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
            self._gathered.tau, self._gathered.no_tau = self._temperature or _temperature_now(module)
        return self._gathered

    def _gather(self, trainer: Trainer) -> tuple[dict[str, Tensor], list[str]]:
        """Return the kept rows of all processes, and the errors of all."""
        rows = _smallest(_without(self._parts, padding_rows(trainer, self._rows)), self.max_samples)
        shares: list[Any] = [(rows, self._error)]
        if trainer.world_size > 1:
            sent = {name: tensor.cpu() for name, tensor in rows.items()}
            shares = [None] * trainer.world_size
            torch.distributed.all_gather_object(shares, (sent, self._error))
        device = trainer.strategy.root_device
        parts = [{name: tensor.to(device) for name, tensor in rows.items()} for rows, _ in shares if rows]
        errors = list(dict.fromkeys(error for _, error in shares if error))
        return _smallest(parts, self.max_samples), errors if parts or errors else ["no rows came"]


def _temperature_now(module: LightningModule) -> Temperature:
    """Return a module's temperature, of which later steps change nothing; an error must not cost the training."""
    try:
        tau, reason = known_temperature(module)
    except Exception as error:
        return Temperature(None, reason_of(error))
    return Temperature(None if tau is None else tau.clone(), reason)


def _as_embeddings(rows: dict[str, Tensor]) -> Embeddings:
    rows, left_out = without_odd_rows(rows)
    labels = {name.removeprefix(LABEL): rows[name] for name in rows if name.startswith(LABEL)}
    return Embeddings(rows["x"], rows.get("y"), z=rows.get("z"), labels=labels, left_out=left_out)


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


def _without(parts: list[dict[str, Tensor]], padding: int | None) -> list[dict[str, Tensor]]:
    """Return the rows whose place in the pass is before `padding`; all of them if it is None."""
    if padding is None:
        return parts
    return [{name: tensor[part["index"] < padding] for name, tensor in part.items()} for part in parts]


def _smallest(parts: list[dict[str, Tensor]], count: int) -> dict[str, Tensor]:
    """Return the `count` rows that come first in random order; an empty dict if there are no parts."""
    if not parts:
        return {}
    rows = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    first = rows["order"].argsort()[:count]
    return {name: tensor[first] for name, tensor in rows.items()}
