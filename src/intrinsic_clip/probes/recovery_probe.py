"""What representations tell about something known: the true latent, or class labels."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from pydantic import PositiveInt
from torch import Tensor

from intrinsic_clip.metrics import (
    kernel_recovery,
    knn_accuracy,
    linear_accuracy,
    linear_recovery,
    zero_shot_accuracy,
)
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

    Where the captions are the classes' prompts, so that all of a class are embedded alike,
    `classification/zero_shot/<label set>/x` is the share of rows whose own class has the nearest prompt.

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
            if embeddings.y is not None and _are_prompts(embeddings.y, labels):
                name = f"classification/zero_shot/{label_set}/x"
                metrics[name] = zero_shot_accuracy(embeddings.x, embeddings.y, labels)
        return metrics


def _are_prompts(y: Tensor, labels: Tensor) -> bool:
    """Whether rows of a label are all alike, and several labels share none."""
    distinct, classes = labels.unique(return_inverse=True)
    first = torch.zeros(len(distinct), dtype=torch.int64, device=y.device)
    first[classes] = torch.arange(len(classes), device=y.device)
    return len(distinct) > 1 and torch.allclose(y[..., first[classes], :], y, rtol=1e-4, atol=1e-6)


def _named(
    name: str, measure: Callable[[Tensor, Tensor], Tensor], rows: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    return {name: measure(rows, labels)}
