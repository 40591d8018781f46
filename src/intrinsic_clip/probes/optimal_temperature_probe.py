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


class OptimalTemperatureProbe(Probe):
    """Log `optimal_temperature`, the τ at which the InfoNCE loss of the measured rows is lowest.

    Beside a `TemperatureProbe` it completes that probe's line at the end of training: a τ far above is that of an
    under-confident model, one far below of an over-confident one. The best τ depends on the batch, so rows are
    compared in batches as large as those of training.

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
        tau = optimal_temperature(x, y, self.batch_size or self._of_training)
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


def optimal_beside(trainer: Trainer) -> Tensor | None:
    """Return the best τ for held-out rows, if one probe of the trainer has it."""
    beside = [each for each in trainer.callbacks if isinstance(each, OptimalTemperatureProbe)]  # type: ignore[attr-defined]
    if len(beside) != 1:
        return None
    numbers = [value for name, value in beside[0].latest.items() if name.endswith(NAME)]
    return numbers[0].cpu() if len(numbers) == 1 else None
