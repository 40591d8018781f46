"""The contract of a probe: take embeddings at the right time, measure and log them, and never stop a training."""

import math
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from torch import Tensor

from intrinsic_clip.data.paired import Split
from intrinsic_clip.loggers.replicated import by_output_dim, log_replicates, replicates_of
from intrinsic_clip.probes.collection import Collector, RowCollector, Stage, shared_collector
from intrinsic_clip.probes.embeddings import Embeddings, Side, take_embeddings
from intrinsic_clip.probes.schedule import Scheduled


class Measured(NamedTuple):
    """One number, with a reason where it is NaN.

    Attributes:
        value: `(*R,)`; None stands for NaN in every replicate.
        reason: one line that says why (some of) the value is NaN; None where there is nothing to explain.
    """

    value: Tensor | None
    reason: str | None = None


class Subject(Protocol):
    """Anything that `measure` can be given, by default `Embeddings`."""

    def sides(self) -> dict[Side, Tensor]:
        """Return the tensor of each modality that is there."""


class Probe(Scheduled):
    """Base class of probes, which measure embeddings while a module trains and log the numbers.

    A probe of your own needs two methods: `names` and `measure`.

    Example:
        >>> class MeanNormProbe(Probe):
        ...     '''Log the mean norm of representations.'''
        ...
        ...     def names(self, sides):
        ...         return [f"mean_norm/{side}" for side in sides]
        ...
        ...     def measure(self, embeddings):
        ...         return {
        ...             f"mean_norm/{side}": rows.norm(dim=-1).mean(-1) for side, rows in embeddings.sides().items()
        ...         }
        >>> probe = MeanNormProbe(lambda module, batch: module(batch), every_n_epochs=5)

        `Trainer(callbacks=[probe])` runs it; so does `_target_: my_package.MeanNormProbe` in a config of probes.

    With a ContrastiveModule on PairedData it measures the held-out rows: before training, every n epochs, after the
    last one, and in `trainer.test`. With any other LightningModule it measures what `source` gives: for the rows of a
    validation run; where there is none, or with `every_n_steps`, for the last training batches before it is due, under
    names that start with `in_sample/`; in `trainer.test` for the test rows, as `test/…`.

    Loggers get the numbers as `log_replicates` describes, `trainer.callback_metrics` gets the mean over replicates, and
    `latest` keeps the value of every replicate. A failure is warned of once and logged as NaN, `reasons` says why, and
    training continues. Several processes send their rows to rank 0, which measures.

    To measure something other than embeddings, also override `of_split` (for a ContrastiveModule) and `collector` (for
    any other module); JacobianProbe does so.

    Args:
        source: where the embeddings come from: a function `(module, batch)` → x, (x, y), (x, y, labels) or a dict of x,
            y, z and labels, or `by_output(…)` or `by_module(…)`. None: from a ContrastiveModule.
        every_n_epochs: how often to measure during training.
        every_n_steps: measure every n training steps instead.
        in_sample: with a ContrastiveModule, measure the training rows too at the end, unless they are streamed.
        max_samples: measure a sample of that many rows where there are more.
        seed: of the sample.
        prefix: start of all names, such as "layer4/", to tell two probes of one class apart.
    """

    @abstractmethod
    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the names that `measure` always gives; they are logged as NaN where it fails."""

    @abstractmethod
    def measure(self, embeddings: Embeddings) -> Mapping[str, Tensor | Measured]:
        """Return numbers by name, each `(*R,)`; called on rank 0, without gradient and in full precision."""

    def histograms(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Return samples by name, `(*R, n)` each, to be logged as histograms; by default there are none."""
        return {}

    def of_split(self, trainer: Trainer, module: LightningModule, split: Split) -> Subject:
        """Return what `measure` is given for a split of a ContrastiveModule's data; called on rank 0."""
        return take_embeddings(trainer, module, split, self.max_samples, self.seed)

    def collector(self, module: LightningModule, stage: Stage) -> Collector:
        """Return what gathers the batches of any other module for `measure`, the same object throughout a stage."""
        source = self.source
        assert source is not None
        key = (source, stage, self.max_samples, self.seed)
        return shared_collector(module, key, lambda: RowCollector(source, self.max_samples, self.seed))

    def evaluate(
        self,
        trainer: Trainer,
        module: LightningModule,
        rows: Mapping[str, Split | Stage],
        to_loggers: bool = True,
    ) -> None:
        """Measure on rank 0, send the numbers to the other processes, and log them."""
        values: dict[str, Tensor] = {}
        samples: dict[str, Tensor] = {}
        for kind, which in rows.items():
            prefix = self.prefix + kind
            measured, drawn = self._measure(trainer, module, which)
            for name, number in measured.items():
                values[prefix + name] = self._value(module, number)
                self._note(prefix + name, number.reason)
            samples |= {prefix + name: sample for name, sample in drawn.items()}
        if trainer.world_size > 1:
            values = trainer.strategy.broadcast({name: value.cpu() for name, value in values.items()})
        self.latest |= values
        if to_loggers:
            log_replicates(trainer, module, values, trainer.global_step)
            _log_histograms(trainer, module, samples)
        if not (
            trainer.training and trainer.global_step == 0
        ):  # Lightning logs nothing before the first step
            means = {name: float(value.double().mean()) for name, value in values.items()}
            module.log_dict(means, logger=False, sync_dist=trainer.world_size > 1)

    def failed(self, names: Iterable[str], error: Exception, label: str = "") -> dict[str, Measured]:
        """Warn of an error once, and return NaN with the error as reason under each name.

        Args:
            label: opens the warning; by default the class's name.
        """
        reason = " ".join(str(error).split()) if str(error) else type(error).__name__
        reason = reason if isinstance(error, ValueError) else f"{type(error).__name__}: {reason}"
        self.warn_once(f"{label or type(self).__name__} failed and is logged as NaN: {reason}")
        return {name: Measured(None, reason) for name in names}

    def _measure(
        self, trainer: Trainer, module: LightningModule, which: Split | Stage
    ) -> tuple[dict[str, Measured], dict[str, Tensor]]:
        """Return numbers and histograms on rank 0, and nothing on the other processes."""
        sides: Sequence[Side] = ("x", "y")
        try:
            subject = self._subject(trainer, module, which)
            if subject is None:
                return {}, {}
            sides = tuple(subject.sides())
            with torch.no_grad(), torch.autocast(module.device.type, enabled=False):
                numbers, samples = self.measure(subject), self.histograms(subject)
            return {name: self._checked(module, name, number) for name, number in numbers.items()}, samples
        except Exception as error:  # a probe must not cost the training
            return self.failed(self.names(sides), error), {}

    def _subject(self, trainer: Trainer, module: LightningModule, which: Split | Stage) -> Any:
        if self.source is not None:
            return self.collector(module, which).collected(trainer, module)  # type: ignore[arg-type]
        return self.of_split(trainer, module, which) if trainer.is_global_zero else None  # type: ignore[arg-type]

    def _checked(self, module: LightningModule, name: str, number: Tensor | Measured) -> Measured:
        """Check that a number has one value per replicate, as far as the replicates are known."""
        measured = number if isinstance(number, Measured) else Measured(torch.as_tensor(number))
        shape = () if self.source is not None else replicates_of(module).shape
        is_known = self.source is not None or hasattr(module, "replicates")
        if is_known and measured.value is not None and measured.value.shape != shape:
            raise ValueError(
                f"{name} must have one value per replicate, shape {shape}, got {tuple(measured.value.shape)}"
            )
        return measured

    def _value(self, module: LightningModule, number: Measured) -> Tensor:
        return torch.full(replicates_of(module).shape, math.nan) if number.value is None else number.value

    def _note(self, name: str, reason: str | None) -> None:
        self.reasons.pop(name, None)
        if reason is not None:
            self.reasons[name] = reason


def _log_histograms(trainer: Trainer, module: LightningModule, samples: dict[str, Tensor]) -> None:
    for name, values in samples.items():
        for key, row in by_output_dim(name, values, replicates_of(module)):
            for logger in trainer.loggers:
                _log_histogram(logger, key, row, trainer.global_step)


def _log_histogram(logger: object, name: str, values: Tensor, step: int) -> None:
    """Log a histogram to a logger that has them."""
    if not math.isfinite(float(values.double().sum())):
        warnings.warn(f"{name}: not finite at step {step}, histogram left out", stacklevel=2)
    elif isinstance(logger, WandbLogger):
        import wandb

        histogram = wandb.Histogram(np_histogram=np.histogram(values.cpu().numpy(), bins=64))
        logger.log_metrics({name: histogram}, step=step)  # type: ignore[dict-item]
    elif isinstance(logger, TensorBoardLogger):
        logger.experiment.add_histogram(name, values, step)
