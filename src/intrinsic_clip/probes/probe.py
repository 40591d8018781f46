"""What all probes share: when they measure, and where their numbers go."""

import math
import warnings
from abc import abstractmethod

import numpy as np
from pydantic import PositiveInt
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from torch import Tensor

from intrinsic_clip.data.paired import Split
from intrinsic_clip.loggers import by_output_dim, log_replicates
from intrinsic_clip.probes.embeddings import Embeddings, forget_embeddings, take_embeddings
from intrinsic_clip.replicates import Replicates


class Probe(Callback):
    """Measures held-out embeddings before training, every n epochs, after the last one, and in `trainer.test`.

    Loggers get what `log_replicates` says, `trainer.callback_metrics` the mean over replicates; `latest` keeps every
    replicate's value.

    Args:
        every_n_epochs: how often to measure during training.
        in_sample: also measure the training rows at the end; those names start with `in_sample/`.
    """

    def __init__(self, every_n_epochs: PositiveInt = 1, in_sample: bool = False) -> None:
        self.every_n_epochs, self.in_sample = every_n_epochs, in_sample
        self.latest: dict[str, Tensor] = {}
        self.reasons: dict[str, str] = {}

    @abstractmethod
    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Numbers by name, each `(*R,)`."""

    def draw(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Samples by name, to be logged as histograms; none unless a probe says otherwise."""
        return {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Nothing that an earlier fit or test has seen is reused."""
        forget_embeddings(pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the untrained encoders, unless the run goes on from a checkpoint."""
        if trainer.global_step == 0:
            log_replicates(trainer, pl_module, self._measure(trainer, pl_module, "test"), trainer.global_step)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure where the epoch is due; training rows only after the last one."""
        epoch, last = trainer.current_epoch + 1, is_last_epoch(trainer)
        if epoch % self.every_n_epochs and not last:
            return
        metrics = self._measure(trainer, pl_module, "test")
        if last and self.in_sample:
            metrics |= self._measure(trainer, pl_module, "train")
        log_replicates(trainer, pl_module, metrics, trainer.global_step)
        for name, values in self.draw(take_embeddings(trainer, pl_module, "test")).items():
            for key, row in by_output_dim(name, values, getattr(pl_module, "replicates", Replicates())):
                for logger in trainer.loggers:
                    _log_histogram(logger, key, row, trainer.global_step)
        pl_module.log_dict(_scalars(metrics), logger=False)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The final numbers. The loggers have them from the last epoch, so they only go to `trainer.test()`."""
        metrics = self._measure(trainer, pl_module, "test")
        if self.in_sample:
            metrics |= self._measure(trainer, pl_module, "train")
        pl_module.log_dict(_scalars(metrics), logger=False)

    def _measure(self, trainer: Trainer, module: LightningModule, split: Split) -> dict[str, Tensor]:
        prefix = "" if split == "test" else "in_sample/"
        measured = self.measure(take_embeddings(trainer, module, split))
        metrics = {prefix + name: value for name, value in measured.items()}
        self.latest |= metrics
        return metrics


def is_last_epoch(trainer: Trainer) -> bool:
    """Whether training stops with the current epoch."""
    return trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs


def _scalars(metrics: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value.double().mean()) for name, value in metrics.items()}


def _log_histogram(logger: object, name: str, values: Tensor, step: int) -> None:
    """Histograms go to the loggers that know them."""
    if not math.isfinite(float(values.double().sum())):
        warnings.warn(f"{name}: not finite at step {step}, histogram left out", stacklevel=2)
    elif isinstance(logger, WandbLogger):
        import wandb

        histogram = wandb.Histogram(np_histogram=np.histogram(values.cpu().numpy(), bins=64))
        logger.log_metrics({name: histogram}, step=step)  # type: ignore[dict-item]
    elif isinstance(logger, TensorBoardLogger):
        logger.experiment.add_histogram(name, values, step)
