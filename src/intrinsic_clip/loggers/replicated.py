"""Where numbers go during training: a metrics file in the run folder, and W&B, offline by default."""

from collections.abc import Iterator, Mapping, Sequence

from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from intrinsic_clip.loggers.metrics_file import MetricsFile
from intrinsic_clip.runs.replicates import Replicates


def log_replicates(
    trainer: Trainer, module: LightningModule, metrics: Mapping[str, Tensor], step: int
) -> None:
    """Log numbers by name, each `(*R,)`: every replicate's to a MetricsFile, mean and spread to all other loggers."""
    replicates, epoch = replicates_of(module), trainer.current_epoch
    for logger in trainer.loggers:
        if isinstance(logger, MetricsFile):
            once = {name: value[None] for name, value in metrics.items()}
            logger.log_each(once, replicates, [step], epoch)
        else:
            logger.log_metrics({**summaries(metrics, replicates), "epoch": epoch}, step=step)


def log_steps(
    trainer: Trainer, module: LightningModule, metrics: Mapping[str, Tensor], steps: Sequence[int]
) -> None:
    """The same of numbers that come at each step, `(steps, *R)` each.

    A MetricsFile takes every n-th step with n the number of replicates, so that its size does not grow with them, and
    another logger as many as its attribute `every_n_steps` says, where it has one.
    """
    replicates, epoch = replicates_of(module), trainer.current_epoch
    for logger in trainer.loggers:
        in_file = isinstance(logger, MetricsFile)
        every = len(replicates) if in_file else getattr(logger, "every_n_steps", 1)
        places = [place for place, step in enumerate(steps) if step % every == 0]
        if not places:
            continue
        if isinstance(logger, MetricsFile):
            kept = {name: value[places] for name, value in metrics.items()}
            logger.log_each(kept, replicates, [steps[place] for place in places], epoch)
            continue
        for place in places:
            one = {name: value[place] for name, value in metrics.items()}
            logger.log_metrics({**summaries(one, replicates), "epoch": epoch}, step=steps[place])


def replicates_of(module: LightningModule) -> Replicates:
    """What the leading axes of a module's numbers are; those of anyone's LightningModule have none."""
    return getattr(module, "replicates", Replicates())


def summaries(metrics: Mapping[str, Tensor], replicates: Replicates) -> dict[str, float]:
    """Mean over replicates by name, and `<name>/std` where there are several; `<name>/d=19` where d is an axis."""
    found = {}
    for name, value in metrics.items():
        for key, row in by_output_dim(name, value.double(), replicates):
            found[key] = float(row.mean())
            if row.numel() > 1:
                found[f"{key}/std"] = float(row.std())
    return found


def by_output_dim(name: str, value: Tensor, replicates: Replicates) -> Iterator[tuple[str, Tensor]]:
    """A value `(*R, …)` under its name, or each row of its first axis under `<name>/d=19`, where that axis is d."""
    if replicates.output_dims is None:
        yield name, value
        return
    for d, row in zip(replicates.output_dims, value, strict=True):
        yield f"{name}/d={d}", row
