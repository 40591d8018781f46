"""Checkpoint and resume interrupted runs."""

import io
import time
import zipfile
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loggers.metrics_file import MetricsFile, check_beginning
from intrinsic_clip.probes.schedule import is_last_epoch
from intrinsic_clip.runs.atomic import naming, write_atomically
from intrinsic_clip.runs.results import CHECKPOINT, METRICS
from intrinsic_clip.runs.sealed import Damaged

FORMAT = 1
SEAL = "intrinsic_clip"  # key of what a checkpoint says of itself: the version of its format, and its run
PARTS = {"epoch": int, "global_step": int, "state_dict": dict, "loops": dict, "callbacks": dict}
REMEDY = "delete it to start again"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint in one step, beside the old one, then renamed; read it only if it is whole."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write the checkpoint, or leave the old one."""
        buffer = io.BytesIO()
        torch.save({**checkpoint, SEAL: {"format": FORMAT, "run": Path(path).parent.name}}, buffer)
        write_atomically(Path(path), buffer.getvalue())

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the checkpoint.

        Raises:
            Damaged: it is not what was written.
            ConfigError: a newer version of this package wrote it.
        """
        return read_checkpoint(Path(path))


def check_resumable(folder: Path) -> None:
    """Check the checkpoint of an unfinished run, if there is one, and the metrics that belong to it.

    Raises:
        Damaged: one of them is not what was written.
        ConfigError: the metrics are missing, or a newer version of this package wrote the checkpoint.
        OSError: one of them cannot be read.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return
    state = read_checkpoint(path, mapped=True)["callbacks"].get(ResumePoint.__qualname__, {})
    if state.get("metrics_size", 0) is None or not (folder / METRICS).exists():
        raise ConfigError(f"{path}: {METRICS}, which belongs to it, is missing; {REMEDY}")
    check_beginning(folder / METRICS, state.get("metrics_size") or 0, state.get("metrics_sha256"))


def kept_steps(folder: Path) -> int | None:
    """Return how many steps of an unfinished run its checkpoint keeps; None where there is none.

    Raises:
        ConfigError, OSError: as of `read_checkpoint`.
    """
    path = folder / CHECKPOINT
    return int(read_checkpoint(path, mapped=True)["global_step"]) if path.exists() else None


def read_checkpoint(path: Path, mapped: bool = False) -> dict[str, Any]:
    """Return a checkpoint whose checksums are right; PyTorch alone would ignore them.

    Args:
        path: of the file.
        mapped: leave the tensors on the disk, for a look at the rest.

    Raises:
        Damaged: it is not what was written, or belongs to another run.
        ConfigError: a newer version of this package wrote it.
        OSError: it cannot be read.
    """
    with naming(path), path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                broken = archive.testzip()
            if broken is None:
                checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
        except Exception as error:  # zipfile, zlib, struct, pickle and PyTorch each have their own
            raise Damaged(path, f"{type(error).__name__}: {_first_line(error)}", REMEDY) from error
    if broken is not None:
        raise Damaged(path, f"the checksum of {broken} differs", REMEDY)
    _check_contents(path, checkpoint)
    return dict(checkpoint)


def _check_contents(path: Path, checkpoint: Any) -> None:
    if not isinstance(checkpoint, dict):
        raise Damaged(path, f"it holds a {type(checkpoint).__name__}", REMEDY)
    seal = checkpoint.get(SEAL, {"format": 0, "run": path.parent.name})  # version 0 had none
    if not isinstance(seal, dict) or not isinstance(seal.get("format"), int):
        raise Damaged(path, "it does not say which format it has", REMEDY)
    if seal["format"] > FORMAT:
        raise ConfigError(
            f"{path}: format {seal['format']} is of a newer version of intrinsic-clip, this one reads up to {FORMAT}; "
            "update it, or delete the file"
        )
    wrong = [name for name, kind in PARTS.items() if not isinstance(checkpoint.get(name), kind)]
    if wrong:
        raise Damaged(path, f"no {wrong[0]} in it", REMEDY)
    if seal.get("run") != path.parent.name:
        raise Damaged(path, f"of another run, {seal.get('run')}", REMEDY)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]


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
        self._metrics_sha256: str | None = None

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
        for metrics_file in _metrics_files(trainer)[:1]:
            self._metrics_size, self._metrics_sha256 = metrics_file.flush(), metrics_file.sha256
        trainer.save_checkpoint(self.path, weights_only=False)
        self._saved_at = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drop the metrics of epochs that will now be repeated.

        Raises:
            Damaged: the file does not begin with the metrics that were there at the checkpoint.
        """
        for metrics_file in _metrics_files(trainer):
            metrics_file.truncate(self._metrics_size or 0, self._metrics_sha256)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Begin the next epoch where the checkpoint ended one, as Lightning does by itself unless it counts steps."""
        if trainer.max_steps != -1:
            _complete_epoch(checkpoint["loops"]["fit_loop"])

    def state_dict(self) -> dict[str, Any]:
        """Return size and checksum of the metrics file at the checkpoint."""
        return {"metrics_size": self._metrics_size, "metrics_sha256": self._metrics_sha256}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore size and checksum of the metrics file."""
        self._metrics_size, self._metrics_sha256 = (
            state_dict["metrics_size"],
            state_dict.get("metrics_sha256"),
        )


def _metrics_files(trainer: Trainer) -> list[MetricsFile]:
    return [logger for logger in trainer.loggers if isinstance(logger, MetricsFile)]


def _complete_epoch(loop: dict[str, Any]) -> None:
    """Complete the epoch of a loop's state that was kept behind its last batch; within an epoch, leave it.

    With `max_steps` Lightning takes such an epoch for one to go on with: its first batch once more, and one epoch less.
    """
    epochs, batches = loop["epoch_progress"], loop["epoch_loop.batch_progress"]
    if epochs["current"]["completed"] == epochs["current"]["processed"]:
        return
    for counts in (epochs["total"], epochs["current"]):
        counts["completed"] = counts["processed"]
    batches["current"] = dict.fromkeys(batches["current"], 0)
    batches["is_last_batch"] = False
    loop["state_dict"].pop("combined_loader", None)  # the place of a stream in the epoch that has ended
