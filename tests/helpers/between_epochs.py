"""End a training between two epochs."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pytorch_lightning import LightningModule, Trainer

from intrinsic_clip.training.checkpoints import ResumePoint


@contextmanager
def killed_between_epochs(epochs: int) -> Iterator[None]:
    """Have trainings of this process end when the checkpoint of this many epochs has been written."""
    save = ResumePoint.on_train_epoch_end

    def save_and_end(self: ResumePoint, trainer: Trainer, pl_module: LightningModule) -> None:
        save(self, trainer, pl_module)
        if trainer.fit_loop.epoch_progress.current.processed == epochs:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResumePoint, "on_train_epoch_end", save_and_end)
        yield
