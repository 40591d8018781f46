"""Log the temperature that would be best for held-out rows, beside which that of training can be judged."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import PositiveInt
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from intrinsic_clip.data.paired import Split
from intrinsic_clip.metrics.optimal_temperature import optimal_temperature
from intrinsic_clip.probes.embeddings import Embeddings, Side
from intrinsic_clip.probes.loaders import Stage
from intrinsic_clip.probes.probe import Measured, Probe
from intrinsic_clip.typed_values import checked

NAME = "optimal_temperature"
UNIT = 0.02  # how far from 1 lengths are that count as 1


class OptimalTemperatureProbe(Probe):
    """Log `optimal_temperature`, the τ at which the InfoNCE loss of the measured rows is lowest.

    Beside a `TemperatureProbe` it completes that probe's line at the end of training: a τ far above is that of an
    under-confident model, one far below of an over-confident one. The best τ depends on the batch, so rows are
    compared in batches as large as those of training.

    Rows of another's module are brought to length 1, as most losses do. Where they are not of that length as given, the
    loss may take them as they are: that line then names the best τ of both, and calls the model neither.

    Args:
        args, kwargs: `source` first, and the other arguments of `Probe`; rows are normalised.
        batch_size: rows that are compared with each other. None: as many as the training loader gives to all
            processes; all rows where that is not known.
    """

    @checked()
    def __init__(self, *args: Any, batch_size: PositiveInt | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.batch_size = batch_size
        self._of_training: int | None = None
        self._as_given: Tensor | None = (
            None  # the best τ of rows that are not of length 1, as they were given
        )

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the one name."""
        return [NAME]

    def evaluate(
        self,
        trainer: Trainer,
        module: LightningModule,
        rows: Mapping[Split | Stage, str],
        to_loggers: bool = True,
    ) -> None:
        """Look up the batch of training, and measure."""
        self._of_training = batch_of_training(trainer) or self._of_training
        super().evaluate(trainer, module, rows, to_loggers)

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor | Measured]:
        """Return the best τ, NaN where there is none.

        Raises:
            ValueError: more than two modalities.
        """
        x, y = embeddings.normalised_pair()
        size = self.batch_size or self._of_training
        tau, given = optimal_temperature(x, y, size), embeddings.pair()
        self._as_given = None
        if embeddings.x_raw is None and not all(_have_length_one(rows) for rows in given):
            self._as_given = optimal_temperature(*given, size).cpu()
            self.note(
                f"{self.prefix}{NAME} is of rows brought to length 1, which they are not as given: it is no measure of "
                "the τ of a loss that takes inner products as they are"
            )
        if bool((tau == 0).any()):
            reason = "each partner is the nearest of its batch, so that the loss falls as τ goes to 0"
        elif bool(tau.isinf().any()):
            reason = "similarities do not favour partners, so that the loss falls as τ grows"
        else:
            return {NAME: tau}
        return {NAME: Measured(torch.where((tau > 0) & tau.isfinite(), tau, torch.nan), reason)}


def batch_of_training(trainer: Trainer) -> int | None:
    """Return how many rows a step of training compares, where its loader or its data say so."""
    for holder in (getattr(trainer, "datamodule", None), getattr(trainer, "train_dataloader", None)):
        size = getattr(holder, "batch_size", None)
        if isinstance(size, int) and size > 1:
            return size * (trainer.world_size if holder is not getattr(trainer, "datamodule", None) else 1)
    return None


def _have_length_one(rows: Tensor) -> bool:
    """Return whether rows are of length 1, but for rounding to half precision and for one in a hundred."""
    lengths = torch.linalg.vector_norm(rows.double(), dim=-1)
    return float(((lengths - 1).abs() > UNIT).double().mean()) <= 0.01


def optimal_beside(trainer: Trainer) -> tuple[Tensor | None, Tensor | None]:
    """Return the best τ for held-out rows, if one probe of the trainer has it.

    The second is that of the rows as they were given, where the first is of rows brought to length 1.
    """
    beside = [each for each in trainer.callbacks if isinstance(each, OptimalTemperatureProbe)]  # type: ignore[attr-defined]
    if len(beside) != 1:
        return None, None
    numbers = [value for name, value in beside[0].latest.items() if name.endswith(NAME)]
    return (numbers[0].cpu(), beside[0]._as_given) if len(numbers) == 1 else (None, None)
