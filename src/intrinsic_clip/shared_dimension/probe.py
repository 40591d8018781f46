"""Estimate the shared dimension of a run's data when its training has ended, so that its results hold both."""

import math
from collections.abc import Iterable, Set

import torch
from pydantic import NonNegativeInt, PositiveInt
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from intrinsic_clip.config.schema import SharedOutputDim, SharedSteps, SharedTrainings, SharedWidest
from intrinsic_clip.data.paired import PairedData, Split
from intrinsic_clip.loggers.replicated import log_replicates, replicates_of
from intrinsic_clip.measurement.loading import LoadedEmbeddings, subsample
from intrinsic_clip.measurement.progress import TrainingProgress
from intrinsic_clip.probes.base import AnyProbe
from intrinsic_clip.shared_dimension.estimate import SharedDimension, shared
from intrinsic_clip.shared_dimension.views import WIDEST
from intrinsic_clip.typed_values import checked

BETWEEN = " | "  # reasons of several estimates
SPLITS: tuple[Split, ...] = ("train", "append", "test")
NUMBERS = (
    "shared/dimension",
    "shared/effective",
    "shared/interval/low",
    "shared/interval/high",
    "shared/side/x",
    "shared/side/y",
    "shared/gap",
    "shared/later_gap",
    "shared/null_gap",
    "shared/top_1",
    "shared/p_value",
)


class SharedDimensionProbe(AnyProbe):
    """Estimate how many dimensions x and y of a run's data share, as `intrinsic-clip shared data=…` does.

    The estimate trains encoders of its own on all rows of the data, in `trainer.test`: it says nothing about the module
    and takes minutes. The dimension is NaN, with the verdict as its reason, where the spectrum has no clear gap, and so
    are the effective number and the interval where no number can be trusted. A failure is a warning, and the run
    continues.

    Args:
        output_dim, trainings, steps, widest: see the settings of the same names in `conf/shared.yaml`.
        rows: use that many pairs, drawn at random; None: all.
        repeats: estimates; estimate i has seed + i and stands beside repetition i of the run, and the other repetitions
            have none. Where each repetition has data of its own, those are estimated.
        seed: of all that is drawn.
    """

    @checked()
    def __init__(
        self,
        output_dim: SharedOutputDim = 24,
        trainings: SharedTrainings = 6,
        steps: SharedSteps = 1200,
        widest: SharedWidest = WIDEST,
        rows: PositiveInt | None = None,
        repeats: PositiveInt = 1,
        seed: NonNegativeInt = 0,
    ) -> None:
        super().__init__()
        self.output_dim, self.trainings, self.steps, self.widest = output_dim, trainings, steps, widest
        self.rows, self.repeats, self.seed = rows, repeats, seed

    def own_names(self) -> Set[str]:
        """Return the names of all numbers."""
        return set(NUMBERS)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Estimate on rank 0, and log the numbers."""
        data = getattr(trainer, "datamodule", None)
        if not trainer.is_global_zero or not isinstance(data, PairedData):
            return
        replicates = replicates_of(pl_module)
        indices = replicates.indices or (0,)
        values = {name: torch.full((len(indices),), math.nan, dtype=torch.float64) for name in NUMBERS}
        for place, index in enumerate(indices):
            if index < self.repeats:
                for name, number in self._numbers(trainer, data, place, index).items():
                    values[name][place] = number
        shape = replicates.shape
        self.latest = {name: row.expand(shape) if shape else row[0] for name, row in values.items()}
        log_replicates(trainer, pl_module, self.latest, trainer.global_step)

    def _numbers(self, trainer: Trainer, data: PairedData, place: int, index: int) -> dict[str, float]:
        """Return the numbers of one estimate; none, with the reason noted, where it fails."""
        try:
            with torch.inference_mode(False), torch.enable_grad():
                estimate = self._estimate(trainer, data, place, index)
        except Exception as error:  # an estimate must not cost the training
            self._note(NUMBERS, self.warn_of_failure(error))
            return {}
        said = "".join(f"\n  {note}" for note in estimate.notes)
        print(f"\nShared dimension of the data: {estimate}{said}", flush=True)
        numbers = numbers_of(estimate)
        missing = [name for name, number in numbers.items() if math.isnan(number)]
        one_sided = "no clear gap in this side's spectrum alone"  # where both together show one
        self._note(missing, str(estimate) if estimate.dimension is None else one_sided)
        return numbers

    def _note(self, names: Iterable[str], reason: str) -> None:
        """Keep why numbers are NaN, beside the reasons of other estimates."""
        for name in names:
            reasons = [*filter(None, self.reasons.get(name, "").split(BETWEEN)), reason]
            self.reasons[name] = BETWEEN.join(dict.fromkeys(reasons))

    def _estimate(self, trainer: Trainer, data: PairedData, place: int, index: int) -> SharedDimension:
        x, y = rows_of(data, place)
        pairs = LoadedEmbeddings({"x": x, "y": y})
        subsample(pairs, self.rows, self.seed + index)
        with TrainingProgress(trainer.progress_bar_callback is not None) as progress:
            return shared(
                pairs.sides["x"],
                pairs.sides["y"],
                output_dim=self.output_dim,
                replicates=self.trainings,
                steps=self.steps,
                widest=self.widest,
                seed=self.seed + index,
                report=progress.report,
            )


def rows_of(data: PairedData, place: int) -> tuple[Tensor, Tensor]:
    """Return all rows of the data, on the CPU; of generated data those of one repetition.

    Raises:
        ValueError: they are no vectors.
    """
    parts = [data.pairs(split) for split in SPLITS]
    x, y = (torch.cat([getattr(part, side) for part in parts], parts[0].row_axis).cpu() for side in "xy")
    own = parts[0].row_axis % x.ndim > 0
    x, y = (side.flatten(0, -3)[place % len(side)] if own else side for side in (x, y))
    if x.ndim != 2 or y.ndim != 2:
        raise ValueError(f"rows of shapes {tuple(x.shape[1:])} and {tuple(y.shape[1:])} are no vectors")
    return x, y


def numbers_of(estimate: SharedDimension) -> dict[str, float]:
    """Return an estimate's numbers by the names of the vocabulary.

    The dimension is NaN where there is no clear gap; the effective number and the interval, too, where no number can be
    trusted.
    """
    trusted = estimate.doubt is None
    values = (
        estimate.dimension,
        estimate.effective if trusted else None,
        *(estimate.interval if trusted else (None, None)),
        estimate.sides["x"],
        estimate.sides["y"],
        estimate.gap,
        estimate.later_gap,
        estimate.null_gap,
        estimate.matching.top_1,
        estimate.matching.p_value,
    )
    return {
        name: math.nan if value is None else float(value) for name, value in zip(NUMBERS, values, strict=True)
    }
