"""Decide when a probe measures and which rows: a split of PairedData, or the batches of another module."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from pydantic import NonNegativeInt, PositiveInt
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from intrinsic_clip.data.paired import Split
from intrinsic_clip.probes.base import AnyProbe
from intrinsic_clip.probes.collection import Collector, Stage, forget_collectors
from intrinsic_clip.probes.embeddings import forget_embeddings
from intrinsic_clip.probes.sources import Embed, Source, as_source


class Scheduled(AnyProbe):
    """Calls `evaluate` when a measurement is due; `Probe` explains when, and the arguments."""

    def __init__(
        self,
        source: Source | Embed | None = None,
        every_n_epochs: PositiveInt = 1,
        every_n_steps: PositiveInt | None = None,
        in_sample: bool = False,
        max_samples: PositiveInt = 10_000,
        seed: NonNegativeInt = 0,
        prefix: str = "",
    ) -> None:
        super().__init__()
        self.source = as_source(source)
        self.every_n_epochs, self.every_n_steps, self.in_sample = every_n_epochs, every_n_steps, in_sample
        self.max_samples, self.seed, self.prefix = max_samples, seed, prefix
        self._measured_at, self._collects = 0, False

    @abstractmethod
    def collector(self, module: LightningModule, stage: Stage) -> Collector:
        """Return what gathers the batches of a module other than ContrastiveModule."""

    @abstractmethod
    def evaluate(
        self,
        trainer: Trainer,
        module: LightningModule,
        rows: Mapping[str, Split | Stage],
        to_loggers: bool = True,
    ) -> None:
        """Measure, and log under names that start with the keys of `rows`.

        Args:
            rows: by key a split of a ContrastiveModule's data, or the stage whose batches were collected.
        """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget what an earlier fit or test has seen, and check where the embeddings come from.

        Raises:
            MisconfigurationException: there is no source for this module, or it does not fit the module.
        """
        forget_embeddings(pl_module)
        forget_collectors(pl_module)
        if self.source is not None:
            try:
                self.source.attach(pl_module)
            except ValueError as error:
                raise MisconfigurationException(f"{type(self).__name__}: {error}") from error
        elif not (hasattr(pl_module, "encode") and hasattr(getattr(trainer, "datamodule", None), "pairs")):
            raise MisconfigurationException(
                f"{type(self).__name__} needs to know where the embeddings of {type(pl_module).__name__} come from: "
                "pass a function of (module, batch), by_output(…) or by_module(…)"
            )

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remove hooks and collected rows."""
        forget_collectors(pl_module)
        if self.source is not None:
            self.source.detach()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure an untrained ContrastiveModule, unless the run resumes from a checkpoint."""
        self._measured_at = trainer.global_step
        if self.source is None and trainer.global_step == 0:
            self.evaluate(trainer, pl_module, {"": "test"})

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure if the epoch is due."""
        if not self._epoch_is_due(trainer):
            return
        if self.source is None:
            self.evaluate(
                trainer, pl_module, self._splits(trainer, self.in_sample and is_last_epoch(trainer))
            )
        elif self._from_training(trainer):
            self.evaluate(trainer, pl_module, {"in_sample/": "train"})

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the final numbers; the loggers already have those of a ContrastiveModule."""
        if self.source is None:
            self.evaluate(trainer, pl_module, self._splits(trainer, self.in_sample), to_loggers=False)
        else:
            self.evaluate(trainer, pl_module, {"test/": "test"})

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the rows of a validation run."""
        if self._validation_is_due(trainer):
            self.evaluate(trainer, pl_module, {"": "validate"})

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Prepare to collect the batch, if training rows are measured soon."""
        self._collects = self._from_training(trainer) and self._is_near(trainer, pl_module, batch_idx)
        if self._collects:
            self.collector(pl_module, "train").listen()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Collect the batch, and measure if the step is due."""
        if self._collects:
            place = (trainer.global_step, batch_idx)
            self.collector(pl_module, "train").add(trainer, pl_module, outputs, batch, place)
        n, step = self.every_n_steps, trainer.global_step
        if n is None or step // n == self._measured_at // n:
            return
        self._measured_at = step
        if self.source is None:
            self.evaluate(trainer, pl_module, {"": "test"})
        else:
            self.evaluate(trainer, pl_module, {"in_sample/": "train"})

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Prepare to collect the batch, if this validation run is measured."""
        if self._validation_is_due(trainer):
            self.collector(pl_module, "validate").listen()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collect the batch."""
        if self._validation_is_due(trainer):
            place = (trainer.global_step, dataloader_idx, batch_idx)
            self.collector(pl_module, "validate").add(trainer, pl_module, outputs, batch, place)

    def on_test_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Prepare to collect the batch."""
        if self.source is not None:
            self.collector(pl_module, "test").listen()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collect the batch."""
        if self.source is not None:
            place = (dataloader_idx, batch_idx)
            self.collector(pl_module, "test").add(trainer, pl_module, outputs, batch, place)

    def _splits(self, trainer: Trainer, with_training_rows: bool) -> dict[str, Split | Stage]:
        splits: dict[str, Split | Stage] = {"": "test"}
        if with_training_rows and _has_training_rows(trainer):
            splits["in_sample/"] = "train"
        return splits

    def _epoch_is_due(self, trainer: Trainer) -> bool:
        last = is_last_epoch(trainer)
        if self.every_n_steps is not None:
            return last and self.source is None and self._measured_at != trainer.global_step
        return last or (trainer.current_epoch + 1) % self.every_n_epochs == 0

    def _validation_is_due(self, trainer: Trainer) -> bool:
        if self.source is None or trainer.sanity_checking:
            return False
        return trainer.state.fn == "validate" or (self.every_n_steps is None and self._epoch_is_due(trainer))

    def _from_training(self, trainer: Trainer) -> bool:
        return self.source is not None and (self.every_n_steps is not None or not trainer.enable_validation)

    def _is_near(self, trainer: Trainer, module: LightningModule, batch_idx: int) -> bool:
        """Return whether the batch is among the last before a measurement that together hold `max_samples` rows."""
        rows = self.collector(module, "train").rows_per_batch
        if rows is None:
            return True
        batches = math.ceil(self.max_samples / max(1, rows * trainer.world_size))
        if self.every_n_steps is not None:
            return self.every_n_steps - trainer.global_step % self.every_n_steps <= batches
        return self._epoch_is_due(trainer) and not trainer.num_training_batches - batch_idx > batches


def is_last_epoch(trainer: Trainer) -> bool:
    """Return whether training stops with the current epoch."""
    return trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs


def _has_training_rows(trainer: Trainer) -> bool:
    """Return whether the training rows are in memory, where they can be measured; those of a stream are not."""
    sizes = getattr(trainer.datamodule, "sizes", {})  # type: ignore[attr-defined]
    return sizes.get("train") != 0
