"""What representations tell about something known: the true latent, or class labels."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pydantic import PositiveInt
from torch import Tensor

from intrinsic_clip.metrics import kernel_recovery, knn_accuracy, linear_accuracy, linear_recovery
from intrinsic_clip.probes.embeddings import Embeddings, Side
from intrinsic_clip.probes.probe import Probe


class RecoveryProbe(Probe):
    """Logs `recovery/linear/x` and `recovery/kernel/x`, R² of the true latent by (kernel) ridge regression, and of y.

    Where the latent is not known, it says so once and logs nothing.

    Args:
        source: first; see `Probe` for it and the arguments that are not here.
        max_rows: rows that the kernel regression is given, which takes their cube in time.
    """

    def __init__(self, *args: Any, max_rows: PositiveInt = 2000, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.measures: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "linear": linear_recovery,
            "kernel": lambda rows, z: kernel_recovery(rows, z, max_rows=max_rows),
        }

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Both of each side."""
        return [f"recovery/{name}/{side}" for side in sides for name in self.measures]

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """R² per replicate: 1 is all of the latent, 0 nothing."""
        if embeddings.z is None:
            self.warn_once("RecoveryProbe logs nothing: the true latent is not known of these data")
            return {}
        z = embeddings.z
        return {
            f"recovery/{name}/{side}": measure(rows, z)
            for side, rows in embeddings.sides().items()
            for name, measure in self.measures.items()
        }


class ClassificationProbe(Probe):
    """Logs `classification/knn/<label set>/x` and `classification/linear/<label set>/x`, and of y.

    Where there are no labels, it says so once and logs nothing.

    Args:
        source: first; see `Probe` for it and the arguments that are not here.
        k: neighbours that vote.
    """

    def __init__(self, *args: Any, k: PositiveInt = 20, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.measures: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "knn": lambda rows, labels: knn_accuracy(rows, labels, k=k),
            "linear": linear_accuracy,
        }

    def names(self, sides: Sequence[Side]) -> list[str]:
        """None for sure: they depend on the label sets."""
        return []

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Accuracies per replicate."""
        if not embeddings.labels:
            self.warn_once("ClassificationProbe logs nothing: there are no labels of these data")
        metrics: dict[str, Tensor] = {}
        for label_set, labels in embeddings.labels.items():
            for side, rows in embeddings.sides().items():
                for method, measure in self.measures.items():
                    name = f"classification/{method}/{label_set}/{side}"
                    metrics |= self.attempt([name], partial(_named, name, measure, rows, labels), name)
        return metrics


def _named(
    name: str, measure: Callable[[Tensor, Tensor], Tensor], rows: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    return {name: measure(rows, labels)}
