"""Measure the speed of a training in pairs per second, without the probes."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from intrinsic_clip.data.paired import Batches


class Throughput(Callback):
    """Time the steps of each epoch, including the wait for their data, excluding evaluation.

    Args:
        batch_size: pairs per step, of all processes together.
        replicates: trainings that take each step side by side; a pair counts once in each.
        clock: returns seconds.
    """

    def __init__(
        self, batch_size: int, replicates: int = 1, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.pairs_per_step, self.clock = batch_size * replicates, clock
        self.rates: list[float] = []
        self._steps, self._started = 0, 0.0

    @property
    def pairs_per_second(self) -> float | None:
        """Median over the epochs, so that a compilation or a pause does not count; None before the first epoch."""
        return statistics.median(self.rates) if self.rates else None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._steps, self._started = 0, self.clock()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the steps, and stop the clock at the epoch's last."""
        self._steps += len(batch) if isinstance(batch, Batches) else 1
        if trainer.is_last_batch:
            synchronise(pl_module.device)
            seconds = self.clock() - self._started
            self.rates.append(self.pairs_per_step * self._steps / seconds)


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has finished its queue."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
