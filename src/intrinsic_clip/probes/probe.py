"""What all probes share: they measure embeddings, log the numbers, and never stop a training."""

import math
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from torch import Tensor

from intrinsic_clip.loggers.replicated import by_output_dim, log_replicates, replicates_of
from intrinsic_clip.probes.embeddings import Embeddings, Side
from intrinsic_clip.probes.schedule import Scheduled, Take


class Probe(Scheduled):
    """Measures embeddings while a module trains, and logs the numbers.

    Of a ContrastiveModule on PairedData, those of the held-out rows: before training, every n epochs, after the last
    one, and in `trainer.test`. Of any other LightningModule, those that `source` gives: of the rows of a validation
    run; where there is none, or with `every_n_steps`, of the last training batches before it is time, under names that
    start with `in_sample/`; in `trainer.test` those of the test rows, as `test/…`.

    Loggers get what `log_replicates` says, `trainer.callback_metrics` the mean over replicates; `latest` keeps every
    replicate's value. Whatever fails is warned of once and logged as NaN, `reasons` says why, and training goes on.
    Several processes give their rows to rank 0, which measures.

    Args:
        source: where the embeddings come from: a function `(module, batch)` → x, (x, y), (x, y, labels) or a dict of x,
            y, z and labels, or `by_output(…)` or `by_module(…)`. None: from a ContrastiveModule.
        every_n_epochs: how often to measure during training.
        every_n_steps: measure every n training steps instead.
        in_sample: of a ContrastiveModule, measure the training rows as well at the end, unless they are streamed.
        max_samples: of more rows, a sample is measured, drawn with `seed`.
        prefix: what all names start with, as "layer4/", to tell two probes of a kind apart.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.latest: dict[str, Tensor] = {}
        self.reasons: dict[str, str] = {}
        self._warned: set[str] = set()

    @abstractmethod
    def names(self, sides: Sequence[Side]) -> list[str]:
        """What `measure` gives in any case."""

    @abstractmethod
    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Numbers by name, each `(*R,)`."""

    def draw(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Samples by name, to be logged as histograms; none unless a probe says otherwise."""
        return {}

    def evaluate(
        self, trainer: Trainer, module: LightningModule, takes: dict[str, Take], to_loggers: bool = True
    ) -> None:
        """Measure on rank 0, tell the other processes, and log."""
        measured: dict[str, Tensor] = {}
        samples: dict[str, Tensor] = {}
        self._shape = replicates_of(module).shape
        for kind, take in takes.items():
            self._prefix = self.prefix + kind
            metrics, drawn = self._measure(take)
            measured |= {self._prefix + name: value for name, value in metrics.items()}
            samples |= {self._prefix + name: value for name, value in drawn.items()}
        if trainer.world_size > 1:
            measured = trainer.strategy.broadcast({name: value.cpu() for name, value in measured.items()})
        self.latest |= measured
        if to_loggers:
            log_replicates(trainer, module, measured, trainer.global_step)
            _log_samples(trainer, module, samples)
        if not (
            trainer.training and trainer.global_step == 0
        ):  # Lightning takes nothing before the first step
            means = {name: float(value.double().mean()) for name, value in measured.items()}
            module.log_dict(means, logger=False, sync_dist=trainer.world_size > 1)

    def attempt(
        self, names: Iterable[str], measure: Callable[[], dict[str, Tensor]], what: str = ""
    ) -> dict[str, Tensor]:
        """What `measure` gives; NaN under the names where it fails, with one warning and a reason for each."""
        try:
            return measure()
        except Exception as error:  # whatever it is, it must not cost the training
            reason = " ".join(str(error).split()) if str(error) else type(error).__name__
            reason = reason if isinstance(error, ValueError) else f"{type(error).__name__}: {reason}"
            self.warn_once(f"{what or type(self).__name__} failed and is logged as NaN: {reason}")
            failed = {name: torch.full(self._shape, math.nan) for name in names}
            for name in failed:
                self.note(name, reason)
            return failed

    def note(self, name: str, reason: str | None) -> None:
        """Remember why a number is NaN, or that it no longer is."""
        self.reasons.pop(self._prefix + name, None)
        if reason is not None:
            self.reasons[self._prefix + name] = reason

    def warn_once(self, message: str) -> None:
        """Warn, but not of the same again."""
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(message, stacklevel=2)

    def _measure(self, take: Take) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Numbers and samples to draw, where the embeddings are; nothing elsewhere."""
        for name in [name for name in self.reasons if name.startswith(self._prefix)]:
            del self.reasons[name]
        sides: list[Side] = ["x", "y"]
        samples: dict[str, Tensor] = {}

        def measure() -> dict[str, Tensor]:
            embeddings = take()
            if embeddings is None:
                return {}
            sides[:] = embeddings.sides()
            device = embeddings.sides()[sides[0]].device
            with (
                torch.no_grad(),
                torch.autocast(device.type, enabled=False),
            ):  # also in a training with less precision
                metrics = self.measure(embeddings)
                samples.update(self.draw(embeddings))
            return metrics

        def names() -> Iterator[str]:  # looked at where it fails, when the sides are known
            yield from self.names(sides)

        return self.attempt(names(), measure), samples


def _log_samples(trainer: Trainer, module: LightningModule, samples: dict[str, Tensor]) -> None:
    for name, values in samples.items():
        for key, row in by_output_dim(name, values, replicates_of(module)):
            for logger in trainer.loggers:
                _log_histogram(logger, key, row, trainer.global_step)


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
