"""Number the moments of a training as Lightning's own loggers do."""

from pytorch_lightning import LightningModule, Trainer

from intrinsic_clip.data.paired import EpochAtOnce
from intrinsic_clip.runs.replicates import Replicates

BEHIND_THE_LAST_BATCH = ("on_train_epoch_end", "on_train_end")


def step_to_log(trainer: Trainer, module: LightningModule) -> int:
    """Return the step of this moment for loggers, as `self.log` writes it: the number of the latest batch, from 0.

    Numbers of one moment then stand at one place of a chart, and in one row of a CSV file, whoever has logged them.
    Batches of a ContrastiveModule are whole epochs, so that its numbers stand at the optimizer's steps, from 1.
    """
    if not counts_batches(module):
        return trainer.global_step
    batches: int = getattr(trainer.fit_loop.epoch_loop, "_batches_that_stepped", trainer.global_step)
    behind = getattr(module, "_current_fx_name", None) in BEHIND_THE_LAST_BATCH  # when the latest is counted
    return max(0, batches - behind)


def epoch_to_log(trainer: Trainer, module: LightningModule) -> int:
    """Return the epoch of the latest batch; Lightning has gone on to the next when training ends."""
    is_over = getattr(module, "_current_fx_name", None) == "on_train_end"
    return max(0, trainer.current_epoch - is_over)


def counts_batches(module: LightningModule) -> bool:
    """Return whether the steps of a module's numbers are batches, as of all but a ContrastiveModule."""
    return not isinstance(getattr(module, "replicates", None), Replicates)


def total_steps(trainer: Trainer) -> float:
    """Return how many steps of the optimizer a training takes; infinity if it has no end."""
    steps = trainer.estimated_stepping_batches
    if isinstance(trainer.train_dataloader, EpochAtOnce):
        steps *= len(trainer.train_dataloader.batches)
    return steps
