"""Keep the latest training batches, since the end of an epoch can be seen but not foreseen."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from intrinsic_clip.probes.collection import RowCollector
from intrinsic_clip.probes.rows import tensors_of
from intrinsic_clip.probes.sources import Source
from intrinsic_clip.probes.user_line import warn_at_user_line

MAX_BYTES = 2**30  # of batches that wait to be embedded; they may lie on an accelerator


@dataclass
class Kept:
    """One batch of the window.

    Attributes:
        content: the batch, or its rows where the source needs the step; an error's message where they failed.
        size: how many rows it has or, before it is embedded, probably has.
        addresses: of the batch's tensors.
        nbytes: of the batch's tensors.
    """

    content: Any
    size: int
    addresses: frozenset[int] = frozenset()
    nbytes: int = 0


class LatestRows(RowCollector):
    """Keeps the latest training batches that together hold `max_samples` rows.

    A batch costs next to nothing until a measurement is due: only then does a source that needs nothing but batches
    embed them, all with the same weights. Rows that a source takes during the step are kept as they come.

    Args:
        source, max_samples, seed: as in RowCollector.
        spans_epochs: whether batches of the epoch before may be among them, though never more than one epoch has.
    """

    def __init__(self, source: Source, max_samples: int, seed: int, spans_epochs: bool) -> None:
        self._spans_epochs = spans_epochs
        self._rows_per_item: float | None = None
        self._clones = self._cut = False
        self._epoch: int | None = None
        self._batches, self._longest = 0, 0
        super().__init__(source, max_samples, seed)

    def clear(self) -> None:
        """Begin a new window."""
        super().clear()
        self._window: deque[Kept] = deque()

    @torch.no_grad()
    def add(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, place: tuple[int, ...]
    ) -> None:
        """Keep a batch, once however many probes add it, and drop those that are no longer among the latest."""
        if place == self._place:
            return
        self._place = place
        self._turn_epoch(trainer)
        if self.source.needs_only_batch:
            self._window.append(self._waiting(trainer, module, batch))
        else:
            rows = self._take(trainer, module, outputs, batch)
            self._window.append(Kept(rows, 1 if isinstance(rows, str) else len(rows["x"])))
        self._drop_old(math.ceil(self.max_samples / trainer.world_size))

    @torch.no_grad()
    def collected(self, trainer: Trainer, module: LightningModule) -> Any:
        """Return the rows of the window, as RowCollector does; batches that wait are embedded now."""
        if self._gathered is None:
            if self._cut:
                self._tell_cut()
            for kept in self._window:
                rows = kept.content
                if self.source.needs_only_batch:
                    rows = self._take(trainer, module, None, rows)
                if isinstance(rows, str):
                    self._error = rows
                    break
                self._parts.append(self._ordered(trainer, rows))
            self._window.clear()
        return super().collected(trainer, module)

    def _turn_epoch(self, trainer: Trainer) -> None:
        if trainer.current_epoch != self._epoch:
            self._longest = max(self._longest, self._batches)
            self._epoch, self._batches = trainer.current_epoch, 0
            if not self._spans_epochs:
                self._window.clear()
        self._batches += 1

    def _waiting(self, trainer: Trainer, module: LightningModule, batch: Any) -> Kept:
        """Return a batch to be embedded later; the first one is embedded now, to learn how many rows it gives."""
        tensors = tensors_of(batch)
        addresses = frozenset(tensor.data_ptr() for tensor in tensors if tensor.layout == torch.strided) - {0}
        if not self._clones and any(kept.addresses & addresses for kept in self._window):
            self._clones = (
                True  # the loader writes every batch to the same memory: those kept are overwritten
            )
            self._window.clear()
        if self._clones:
            batch = apply_to_collection(batch, Tensor, torch.clone, allow_frozen=True)
        items = next((len(tensor) for tensor in tensors if tensor.ndim), 1)
        if self._rows_per_item is None:
            rows = self._take(trainer, module, None, batch)
            self._rows_per_item = 1.0 if isinstance(rows, str) else len(rows["x"]) / max(1, items)
        nbytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return Kept(batch, max(1, math.ceil(items * self._rows_per_item)), addresses, nbytes)

    def _drop_old(self, enough: int) -> None:
        """Drop the oldest batches that are not needed for as many rows, or would repeat an epoch's or fill memory."""
        size, nbytes = sum(kept.size for kept in self._window), sum(kept.nbytes for kept in self._window)
        while len(self._window) > 1:
            oldest = self._window[0]
            repeats = self._spans_epochs and 0 < self._longest < len(self._window)
            full = nbytes > MAX_BYTES and size - oldest.size < enough
            if not (size - oldest.size >= enough or repeats or full):
                return
            self._cut |= full
            size, nbytes = size - oldest.size, nbytes - oldest.nbytes
            self._window.popleft()

    def _tell_cut(self) -> None:
        rows = sum(kept.size for kept in self._window)
        warn_at_user_line(
            f"a probe measures the latest {rows} training rows: the batches of max_samples={self.max_samples} take "
            f"more than {MAX_BYTES / 2**30:g} GiB; by_module(…) and by_output(…) keep embeddings instead of batches"
        )
        self._cut = False
