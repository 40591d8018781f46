"""Checkpoint and resume interrupted runs."""

import io
import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from intrinsic_clip.loggers.metrics_file import MetricsFile
from intrinsic_clip.probes.schedule import is_last_epoch
from intrinsic_clip.runs.atomic import write_atomically
from intrinsic_clip.runs.results import CHECKPOINT


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint in one step: beside the old one, then renamed."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write the checkpoint, or leave the old one."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(Path(path), buffer.getvalue())


class ResumePoint(Checkpoint):
    """Save `last.ckpt` at the end of an epoch when `seconds` have passed, and after the last epoch.

    Batches come in fixed order and every random stream has its own seed, so weights, optimizer and epoch are
    the whole state: a resumed run repeats the interrupted epochs bit for bit on a CPU. A stream, whose epochs may
    take hours, saves its place in the epoch as well (`state_dict` of the loader), after any of its batches. The
    metrics file is cut back to its length at the checkpoint.

    Args:
        folder: the folder of `last.ckpt`.
        seconds: work that a kill may cost at most, beside the current epoch of data in memory.
    """

    def __init__(self, folder: Path, seconds: float = 10.0) -> None:
        self.path, self.seconds = folder / CHECKPOINT, seconds
        self._saved_at = time.monotonic()
        self._metrics_size: int | None = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save if it is time."""
        self._save_if(is_last_epoch(trainer) or self._is_time(), trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time, and training can resume in the middle of this epoch."""
        if hasattr(trainer.train_dataloader, "state_dict") and not trainer.is_last_batch:
            self._save_if(self._is_time(), trainer)

    def _is_time(self) -> bool:
        return time.monotonic() - self._saved_at >= self.seconds

    def _save_if(self, due: bool, trainer: Trainer) -> None:
        """Save if any process wants to: they decide together, since saving is collective."""
        if not trainer.strategy.reduce_boolean_decision(due, all=False):
            return
        self._metrics_size = next((f.flush() for f in _metrics_files(trainer)), None)
        trainer.save_checkpoint(self.path, weights_only=False)
        self._saved_at = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drop the metrics of epochs that will now be repeated."""
        for metrics_file in _metrics_files(trainer):
            metrics_file.truncate(self._metrics_size or 0)

    def state_dict(self) -> dict[str, Any]:
        """Return the size of the metrics file at the checkpoint."""
        return {"metrics_size": self._metrics_size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the size of the metrics file."""
        self._metrics_size = state_dict["metrics_size"]


def _metrics_files(trainer: Trainer) -> list[MetricsFile]:
    return [logger for logger in trainer.loggers if isinstance(logger, MetricsFile)]
