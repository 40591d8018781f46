"""Train in two processes on streamed shards, whole and resumed, and write the rows that each process saw."""

import json
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.strategies import DDPStrategy

from intrinsic_clip.data.streams.webdataset import WebDatasetShards

SIZES = {"n_append": 4, "n_test": 8, "batch_size": 8, "image_size": 16, "shuffle": 5, "max_bad": 0.5}
QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}


class Seen(LightningModule):
    """A module that records the epoch and the rows of each batch; the sum of its pixels identifies a row."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.batches = torch.nn.Parameter(torch.zeros(())), list[tuple[int, list[int]]]()

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        sums = (batch[0] * 255).round().long().sum((1, 2, 3))
        self.batches.append((self.current_epoch, sums.tolist()))
        return self.weight * batch[0].mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


class SaveOnce(Callback):
    """Save a checkpoint in the middle of the second epoch."""

    def __init__(self, path: Path, after: int) -> None:
        self.path, self.after = path, after

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (trainer.current_epoch, batch_idx + 1) == (1, self.after):
            trainer.save_checkpoint(self.path)


def fit(data: WebDatasetShards, after: int, folder: Path, resumed: bool) -> list[Any]:
    """Train, and return the batches that this process saw."""
    module, checkpoint = Seen(), folder / f"{after}.ckpt"
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy=DDPStrategy(process_group_backend="gloo"),
        max_epochs=3,
        enable_checkpointing=False,
        callbacks=[] if resumed else [SaveOnce(checkpoint, after)],
        **QUIET,
    )
    trainer.fit(module, datamodule=data, ckpt_path=str(checkpoint) if resumed else None, weights_only=True)
    return module.batches


def every_plan(shards: str, workers: int, folder: Path) -> None:
    """Train by each plan as one of two processes; epochs are all shards once, and then 12 batches."""
    once = WebDatasetShards(shards, workers=workers, **SIZES)
    counted = WebDatasetShards(shards, workers=workers, epoch_batches=12, **SIZES)
    plan = {"once, early": (once, 2), "once, late": (once, 9), "counted": (counted, 7)}
    batches = {name: [fit(*how, folder, resumed) for resumed in (False, True)] for name, how in plan.items()}
    (folder / f"{torch.distributed.get_rank()}.json").write_text(json.dumps(batches))
