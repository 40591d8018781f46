"""Decide when a probe measures and which rows: a split of PairedData, or the batches of another module."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from pydantic import NonNegativeInt, PositiveInt
from pytorch_lightning import LightningModule, Trainer

from intrinsic_clip.data.paired import Split
from intrinsic_clip.probes.base import AnyProbe
from intrinsic_clip.probes.both_lightnings import MisconfigurationException
from intrinsic_clip.probes.collection import Collector, forget_collectors
from intrinsic_clip.probes.embeddings import forget_embeddings
from intrinsic_clip.probes.final_numbers import FinalNumbers
from intrinsic_clip.probes.loaders import Stage, evaluation_stages
from intrinsic_clip.probes.one_name import disclaim, refuse_shared_names
from intrinsic_clip.probes.sources import Embed, Source, as_source
from intrinsic_clip.typed_values import checked


class Scheduled(AnyProbe):
    """Calls `evaluate` when a measurement is due; `Probe` explains when, and the arguments."""

    @checked(besides=("source",))
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
        self.repeats_final = False  # whether a test may give the numbers of the end of the fit again
        self._final: FinalNumbers | None = None
        self._forget_progress()

    def _forget_progress(self) -> None:
        """Begin a fit, validation or test."""
        self._measured_at, self._measured_epochs, self._measurements = 0, 0, 0
        self._has_news = False  # whether training batches came after the last measurement
        self._measures_validation = False
        self._may_log = True  # Lightning takes no numbers when training starts and ends
        self._published: dict[str, float] = {}
        # Names by split or stage, of the last measurement that succeeded.
        self._given: dict[str, list[str]] = {}

    @property
    def measures_within_epochs(self) -> bool:
        """Return whether the trainer must see every step of a ContrastiveModule, and not only each epoch's last."""
        return self.source is None and self.every_n_steps is not None

    @abstractmethod
    def collector(self, module: LightningModule, stage: Stage) -> Collector:
        """Return what gathers the batches of a module other than ContrastiveModule."""

    @abstractmethod
    def evaluate(
        self,
        trainer: Trainer,
        module: LightningModule,
        rows: Mapping[Split | Stage, str],
        to_loggers: bool = True,
    ) -> None:
        """Measure, and log under names that start with the values of `rows`.

        Args:
            rows: splits of a ContrastiveModule's data, or stages whose batches were collected.
        """

    @abstractmethod
    def check_names(self, trainer: Trainer) -> None:
        """Warn where something else has logged under a name that this probe has just logged."""

    @abstractmethod
    def is_watched(self, trainer: Trainer) -> bool:
        """Return whether another callback or a scheduler waits for a number that the trainer does not have yet."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget what an earlier fit or test has seen, and check names and where the embeddings come from.

        Raises:
            MisconfigurationException: another probe logs the same names, there is no source for this module, or it
                does not fit the module.
        """
        if stage == "predict":
            return
        forget_embeddings(pl_module)
        forget_collectors(pl_module)
        disclaim(pl_module)
        self._forget_progress()
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
        refuse_shared_names(trainer, self)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remove hooks and collected rows; what a fit ended with is kept for a test."""
        if stage != "fit":
            self._final = None
        forget_collectors(pl_module)
        disclaim(pl_module)
        if self.source is not None:
            self.source.detach()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remove hooks and collected rows, as Lightning calls no `teardown` after an error."""
        self.teardown(trainer, pl_module, "")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure an untrained ContrastiveModule; one that resumes only if another callback waits for its numbers."""
        self._measured_at, self._measured_epochs = trainer.global_step, trainer.current_epoch
        if self.source is None and (trainer.global_step == 0 or self.is_watched(trainer)):
            self._may_log = False
            self.evaluate(trainer, pl_module, {"test": ""}, to_loggers=trainer.global_step == 0)
            self._may_log = True

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look for names that are logged twice, and begin a new window of batches if epochs are measured."""
        self.check_names(trainer)
        if self.every_n_steps is None:
            self._has_news = False

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure if the epoch is due, and there is something new to measure."""
        if self.source is None:
            if self._epoch_is_due(trainer):
                self._measure_splits(trainer, pl_module, self.in_sample and is_last_epoch(trainer))
        elif self._from_training(trainer) and self._has_news:
            watched = self._measurements == 0 and self.is_watched(trainer)
            if watched or (self.every_n_steps is None and self._epoch_is_due(trainer)):
                self._measure_training(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the last epoch if it came unforeseen, as after another callback has ended the training."""
        self.check_names(trainer)
        self._may_log = False
        if self.source is None:
            if self._measured_at != trainer.global_step:
                self._measure_splits(trainer, pl_module, self.in_sample)
        elif self._from_training(trainer):
            if self._has_news and self.every_n_steps is None:
                self._measure_training(trainer, pl_module)
            elif self._measurements == 0 and self.every_n_steps is not None:
                self.warn_once(
                    f"{type(self).__name__} has measured nothing: training ended after {trainer.global_step} steps, "
                    f"before every_n_steps={self.every_n_steps}"
                )
        elif self._measurements == 0:
            self.warn_once(
                f"{type(self).__name__} has measured nothing: no validation run took place before training ended; "
                "validate earlier (val_check_interval), or measure training rows (every_n_steps)"
            )
        self._may_log = True

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the final numbers; the loggers already have those of a ContrastiveModule."""
        if self.source is None:
            self._measure_splits(trainer, pl_module, self.in_sample, to_loggers=False)
        else:
            self.evaluate(trainer, pl_module, dict.fromkeys(evaluation_stages(trainer, "test"), "test/"))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look for names that are logged twice."""
        self.check_names(trainer)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Decide about the whole of this validation run."""
        self._measures_validation = self._validation_is_due(trainer)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the rows of a validation run."""
        if self._measures_validation:
            self._measured_epochs = trainer.current_epoch + 1
            self.evaluate(trainer, pl_module, dict.fromkeys(evaluation_stages(trainer, "validate"), ""))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look for names that are logged twice."""
        self.check_names(trainer)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Prepare to collect the batch, if training rows are measured."""
        if self._from_training(trainer):
            self.collector(pl_module, "train").listen()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Collect the batch, and measure if the step is due."""
        if self._from_training(trainer):
            place = (trainer.current_epoch, batch_idx)
            self.collector(pl_module, "train").add(trainer, pl_module, outputs, batch, place)
            self._has_news = True
        n, step = self.every_n_steps, trainer.global_step
        if n is None or step // n == self._measured_at // n:
            return
        self._measured_at = step
        if self.source is None:
            self.evaluate(trainer, pl_module, {"test": ""})
        else:
            self._measure_training(trainer, pl_module)

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Prepare to collect the batch, if this validation run is measured."""
        if self._measures_validation:
            self._of_loader(trainer, pl_module, "validate", dataloader_idx).listen()

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
        if self._measures_validation:
            place = (trainer.global_step, dataloader_idx, batch_idx)
            collector = self._of_loader(trainer, pl_module, "validate", dataloader_idx)
            collector.add(trainer, pl_module, outputs, batch, place)

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
            self._of_loader(trainer, pl_module, "test", dataloader_idx).listen()

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
            collector = self._of_loader(trainer, pl_module, "test", dataloader_idx)
            collector.add(trainer, pl_module, outputs, batch, (dataloader_idx, batch_idx))

    def _of_loader(self, trainer: Trainer, module: LightningModule, stage: Stage, loader: int) -> Collector:
        stages = evaluation_stages(trainer, stage)
        return self.collector(module, stages[loader] if loader < len(stages) else stage)

    def _measure_splits(
        self, trainer: Trainer, module: LightningModule, with_training_rows: bool, to_loggers: bool = True
    ) -> None:
        """Measure the held-out rows of PairedData, and the training rows if asked for and in memory."""
        splits: dict[Split | Stage, str] = {"test": ""}
        if with_training_rows and _has_training_rows(trainer):
            splits["train"] = "in_sample/"
        self.evaluate(trainer, module, splits, to_loggers)

    def _measure_training(self, trainer: Trainer, module: LightningModule) -> None:
        """Measure the latest training batches."""
        self._has_news = False
        self._measured_epochs = trainer.current_epoch + 1
        self.evaluate(trainer, module, {"train": "in_sample/"})

    def _epoch_is_due(self, trainer: Trainer) -> bool:
        last, epochs, n = is_last_epoch(trainer), trainer.current_epoch + 1, self.every_n_epochs
        if self.every_n_steps is not None:
            return last and self.source is None and self._measured_at != trainer.global_step
        # Where epochs without a validation run lie between, the next one that has it is due.
        missed = self.source is not None and epochs // n > self._measured_epochs // n
        return last or epochs % n == 0 or missed

    def _validation_is_due(self, trainer: Trainer) -> bool:
        if self.source is None or trainer.sanity_checking:
            return False
        if trainer.state.fn == "validate":
            return True
        watched = self._measurements == 0 and self.is_watched(trainer)
        return self.every_n_steps is None and (watched or self._epoch_is_due(trainer))

    def _from_training(self, trainer: Trainer) -> bool:
        return self.source is not None and (self.every_n_steps is not None or not trainer.enable_validation)


def is_last_epoch(trainer: Trainer) -> bool:
    """Return whether training stops with the current epoch, as far as that can be known within it."""
    steps_are_done = trainer.max_steps != -1 and trainer.global_step >= trainer.max_steps
    return trainer.should_stop or steps_are_done or trainer.current_epoch + 1 == trainer.max_epochs


def _has_training_rows(trainer: Trainer) -> bool:
    """Return whether the training rows are in memory, where they can be measured; those of a stream are not."""
    sizes = getattr(trainer.datamodule, "sizes", {})  # type: ignore[attr-defined]
    return sizes.get("train") != 0
