"""When a probe measures, and which rows: those of a ContrastiveModule's data, or batches of anyone's loop."""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from pydantic import NonNegativeInt, PositiveInt
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from intrinsic_clip.data.paired import Split
from intrinsic_clip.probes.collection import Collection, collection, forget_collections
from intrinsic_clip.probes.embeddings import Embeddings, forget_embeddings, take_embeddings
from intrinsic_clip.probes.sources import Embed, Source, as_source
from intrinsic_clip.probes.temperature_probe import temperature_of

Take = Callable[[], Any]  # on rank 0 the Embeddings, elsewhere None; every process must call it


class Scheduled(Callback):
    """Calls `evaluate` when it is time; see `Probe` for when that is and what the arguments mean."""

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
        self.source = as_source(source)
        self.every_n_epochs, self.every_n_steps, self.in_sample = every_n_epochs, every_n_steps, in_sample
        self.max_samples, self.seed, self.prefix = max_samples, seed, prefix
        self._measured_at, self._collects = 0, False

    @abstractmethod
    def evaluate(
        self, trainer: Trainer, module: LightningModule, takes: dict[str, Take], to_loggers: bool = True
    ) -> None:
        """Measure what each of `takes` gives, under names that start with its key."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Nothing that an earlier fit or test has seen is reused."""
        forget_embeddings(pl_module)
        forget_collections(pl_module)
        if self.source is not None:
            try:
                self.source.attach(pl_module)
            except ValueError as error:
                raise MisconfigurationException(f"{type(self).__name__}: {error}") from error
        elif not (hasattr(pl_module, "encode") and hasattr(getattr(trainer, "datamodule", None), "pairs")):
            raise MisconfigurationException(
                f"{type(self).__name__} must be told where the embeddings of {type(pl_module).__name__} come from: "
                "give it a function of (module, batch), by_output(…) or by_module(…)"
            )

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave no hooks behind."""
        if self.source is not None:
            self.source.detach()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure an untrained ContrastiveModule, unless the run goes on from a checkpoint."""
        self._measured_at = trainer.global_step
        if self.source is None and trainer.global_step == 0:
            self.evaluate(trainer, pl_module, {"": self._split(trainer, pl_module, "test")})

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure where the epoch is due."""
        if not self._epoch_is_due(trainer):
            return
        if self.source is None:
            with_training_rows = self.in_sample and is_last_epoch(trainer)
            self.evaluate(trainer, pl_module, self._splits(trainer, pl_module, with_training_rows))
        elif self._from_training(trainer):
            self.evaluate(trainer, pl_module, {"in_sample/": self._collected(trainer, pl_module, "train")})

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The final numbers. Of a ContrastiveModule the loggers have them, so they only go to `trainer.test()`."""
        if self.source is None:
            takes = self._splits(trainer, pl_module, self.in_sample)
            self.evaluate(trainer, pl_module, takes, to_loggers=False)
        else:
            self.evaluate(trainer, pl_module, {"test/": self._collected(trainer, pl_module, "test")})

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the rows of a validation run."""
        if self._validation_is_due(trainer):
            self.evaluate(trainer, pl_module, {"": self._collected(trainer, pl_module, "validate")})

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Have the source listen, where it is nearly time to measure training rows."""
        self._collects = self._from_training(trainer) and self._is_near(trainer, pl_module, batch_idx)
        if self._collects:
            self._collection(pl_module, "train").listen()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Collect the batch, and measure where the step is due."""
        if self._collects:
            self._add(trainer, pl_module, "train", outputs, batch, (trainer.global_step, batch_idx))
        n, step = self.every_n_steps, trainer.global_step
        if n is None or step // n == self._measured_at // n:
            return
        self._measured_at = step
        if self.source is None:
            self.evaluate(trainer, pl_module, {"": self._split(trainer, pl_module, "test")})
        else:
            self.evaluate(trainer, pl_module, {"in_sample/": self._collected(trainer, pl_module, "train")})

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Have the source listen, where this run will be measured."""
        if self._validation_is_due(trainer):
            self._collection(pl_module, "validate").listen()

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
            self._add(trainer, pl_module, "validate", outputs, batch, place)

    def on_test_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Have the source listen."""
        if self.source is not None:
            self._collection(pl_module, "test").listen()

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
            self._add(trainer, pl_module, "test", outputs, batch, (dataloader_idx, batch_idx))

    def _split(self, trainer: Trainer, module: LightningModule, split: Split) -> Take:
        """Those of a ContrastiveModule, which every process could take, and rank 0 does."""
        return lambda: (
            take_embeddings(trainer, module, split, self.max_samples, self.seed)
            if trainer.is_global_zero
            else None
        )

    def _splits(self, trainer: Trainer, module: LightningModule, with_training_rows: bool) -> dict[str, Take]:
        takes = {"": self._split(trainer, module, "test")}
        if with_training_rows and _has_training_rows(trainer):
            takes["in_sample/"] = self._split(trainer, module, "train")
        return takes

    def _collection(self, module: LightningModule, stage: str) -> Collection:
        assert self.source is not None
        return collection(module, self.source, stage, self.max_samples, self.seed)

    def _add(
        self,
        trainer: Trainer,
        module: LightningModule,
        stage: str,
        outputs: Any,
        batch: Any,
        place: tuple[int, ...],
    ) -> None:
        self._collection(module, stage).add(trainer, module, outputs, batch, place)

    def _collected(self, trainer: Trainer, module: LightningModule, stage: str) -> Take:
        def take() -> Embeddings | None:
            embeddings = self._collection(module, stage).embeddings(trainer)
            if embeddings is not None and embeddings.tau is None:
                embeddings.tau = temperature_of(module)
            return embeddings

        return take

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
        """Whether the batch is among the last ones before it is time, as many as `max_samples` rows take."""
        rows = self._collection(module, "train").rows_per_batch
        if rows is None:
            return True
        batches = math.ceil(self.max_samples / max(1, rows * trainer.world_size))
        if self.every_n_steps is not None:
            return self.every_n_steps - trainer.global_step % self.every_n_steps <= batches
        return self._epoch_is_due(trainer) and not trainer.num_training_batches - batch_idx > batches


def is_last_epoch(trainer: Trainer) -> bool:
    """Whether training stops with the current epoch."""
    return trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs


def _has_training_rows(trainer: Trainer) -> bool:
    """Whether they are in memory, where they can be measured: those of a stream are not."""
    sizes = getattr(trainer.datamodule, "sizes", {})  # type: ignore[attr-defined]
    return sizes.get("train") != 0
