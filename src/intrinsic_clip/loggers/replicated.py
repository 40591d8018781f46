"""Log numbers that have one value per replicate."""

import math
from collections.abc import Iterator, Mapping, Sequence

from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from intrinsic_clip.loggers.metrics_file import MetricsFile
from intrinsic_clip.loggers.steps import epoch_to_log, total_steps
from intrinsic_clip.runs.replicates import Replicates

FEWEST = 100  # steps of a training that a file keeps


def log_replicates(
    trainer: Trainer, module: LightningModule, metrics: Mapping[str, Tensor], step: int
) -> None:
    """Log every replicate's numbers to a MetricsFile, and mean and spread to all other loggers.

    Args:
        metrics: by name, `(*R,)` each.
    """
    replicates, epoch = replicates_of(module), epoch_to_log(trainer, module)
    for logger in trainer.loggers:
        if isinstance(logger, MetricsFile):
            one_step = {name: value[None] for name, value in metrics.items()}
            logger.log_each(one_step, replicates, [step], epoch)
        else:
            logger.log_metrics({**summaries(metrics, replicates), "epoch": epoch}, step=step)


def log_steps(
    trainer: Trainer,
    module: LightningModule,
    metrics: Mapping[str, Tensor],
    steps: Sequence[int],
    first: int = 1,
    apart: int = 1,
) -> None:
    """Log numbers of several steps, as `log_replicates` does those of one.

    A MetricsFile takes every n-th step with n the number of replicates, so that its size does not grow with them, but
    about a hundred steps of a training at least; another logger takes every n-th with n its attribute `every_n_steps`,
    where it has one, and the last step of the training. Of steps that are given further apart both take the first at
    or behind each n-th.

    Args:
        metrics: by name, `(steps, *R)` each.
        steps: counted from 1.
        first: what loggers call step 1.
        apart: steps from one that is given to the next.
    """
    replicates, epoch, last = replicates_of(module), epoch_to_log(trainer, module), total_steps(trainer)
    for logger in trainer.loggers:
        if isinstance(logger, MetricsFile):
            every = _thinned(trainer, logger.at_once or len(replicates))
        else:
            every = _every_n_steps(logger)
        passed = [step // every > (step - apart) // every for step in steps]
        due = [index for index, step in enumerate(steps) if passed[index] or step == last]
        if not due:
            continue
        if isinstance(logger, MetricsFile):
            kept = {name: value[due] for name, value in metrics.items()}
            logger.log_each(kept, replicates, [steps[index] - 1 + first for index in due], epoch)
            continue
        for index in due:
            one_step = {name: value[index] for name, value in metrics.items()}
            logger.log_metrics(
                {**summaries(one_step, replicates), "epoch": epoch}, step=steps[index] - 1 + first
            )


def replicates_of(module: LightningModule) -> Replicates:
    """Return the replicates of a module; a LightningModule that does not declare any is a single run."""
    replicates = getattr(module, "replicates", None)
    return replicates if isinstance(replicates, Replicates) else Replicates()


def _thinned(trainer: Trainer, replicates: int) -> int:
    """Return which step of a training a file keeps: every n-th of n replicates, more often in a short one."""
    if replicates == 1:
        return 1
    steps = total_steps(trainer)
    return replicates if math.isinf(steps) else max(1, min(replicates, int(steps) // FEWEST))


def _every_n_steps(logger: object) -> int:
    """Return a logger's own cadence; loggers may invent attributes, as Lightning's DummyLogger does."""
    every = getattr(logger, "every_n_steps", None)
    return every if isinstance(every, int) and every > 0 else 1


def summaries(metrics: Mapping[str, Tensor], replicates: Replicates) -> dict[str, float]:
    """Return the mean over replicates by name, and `<name>/std` where there are several.

    Where d is an axis, each d has names of its own, such as `<name>/d=19`.
    """
    means = {}
    for name, value in metrics.items():
        for key, row in by_output_dim(name, value.double(), replicates):
            means[key] = float(row.mean())
            if row.numel() > 1:
                means[f"{key}/std"] = float(row.std())
    return means


def by_output_dim(name: str, value: Tensor, replicates: Replicates) -> Iterator[tuple[str, Tensor]]:
    """Yield a value `(*R, …)` under its name, or where its first axis is d, each of its rows under `<name>/d=19`."""
    if replicates.output_dims is None:
        yield name, value
        return
    for d, row in zip(replicates.output_dims, value, strict=True):
        yield f"{name}/d={d}", row
