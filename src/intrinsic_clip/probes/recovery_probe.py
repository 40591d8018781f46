"""Predict known properties from representations: the true latent, and class labels."""

from collections.abc import Callable, Iterable, Sequence
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
from intrinsic_clip.probes.probe import Measured, Probe
from intrinsic_clip.typed_values import checked


class RecoveryProbe(Probe):
    """Log R² of the true latent by (kernel) ridge regression: `recovery/linear/x`, `recovery/kernel/x`, and for y.

    Where the latent has blocks that some modalities share and others do not, each block has numbers of its own, as
    `recovery/linear/xy/x` of the block that x and y share.

    Where the latent is not known, it warns once and logs nothing.

    Args:
        args, kwargs: `source` first, and the other arguments of `Probe`.
        max_rows: for the kernel regression, whose time grows with their cube.
    """

    @checked()
    def __init__(self, *args: Any, max_rows: PositiveInt = 2000, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.measures: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "linear": linear_recovery,
            "kernel": lambda rows, z: kernel_recovery(rows, z, max_rows=max_rows),
        }

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the names of both regressions for each side."""
        return [f"recovery/{name}/{side}" for side in sides for name in self.measures]

    def _not_given(self, sides: Sequence[Side], given: Iterable[str]) -> dict[str, Measured]:
        """Return nothing: an unknown latent has no numbers, which `measure` says, and one of blocks has others."""
        return {}

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Return R²: 1 where the whole latent is recovered, 0 where it cannot be predicted."""
        latents = {f"/{block}": latent for block, latent in embeddings.latents.items()}
        if embeddings.z is not None and embeddings.z.shape[-1]:  # of independent data it has no coordinate
            latents[""] = embeddings.z
        if not latents:
            reason = "is not known for" if embeddings.z is None else "has no coordinate in"
            self.warn_once(f"RecoveryProbe logs nothing: the true latent {reason} these data")
        return {
            f"recovery/{name}{block}/{side}": measure(rows, latent)
            for block, latent in latents.items()
            for side, rows in embeddings.sides().items()
            for name, measure in self.measures.items()
        }


class ClassificationProbe(Probe):
    """Log the accuracy of predicted labels: `classification/knn/<label set>/x`, `…/linear/…`, also of y.

    Where the captions are the classes' prompts, so that all rows of a class have one text embedding,
    `classification/zero_shot/<label set>/x` is the share of rows whose own class has the nearest prompt.

    Rows of one side that show the same thing, as an image beside each of its captions does, neither vote for one
    another nor are in several folds, since a copy tells the label. Captions that are no more than the labels are
    prompts, and rows like others. Where there are no labels, it warns once and logs nothing.

    Args:
        args, kwargs: `source` first, and the other arguments of `Probe`.
        k: neighbours that vote.
    """

    @checked()
    def __init__(self, *args: Any, k: PositiveInt = 20, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.measures: dict[str, Callable[[Tensor, Tensor, Tensor | None], Tensor]] = {
            "knn": lambda rows, labels, things: knn_accuracy(rows, labels, k=k, things=things),
            "linear": lambda rows, labels, things: linear_accuracy(rows, labels, things=things),
        }

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return no names: they depend on the label sets."""
        return []

    def own_names(self) -> set[str]:
        """Return a name that stands for all."""
        return {f"{self.prefix}classification/…"}

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor | Measured]:
        """Return accuracies, in [0, 1]."""
        if not embeddings.labels:
            self.warn_once("ClassificationProbe logs nothing: these data have no labels")
        metrics: dict[str, Tensor | Measured] = {}
        repeated = {side: embeddings.repeated(side) for side in embeddings.sides() if embeddings.labels}
        for label_set, labels in embeddings.labels.items():
            for side, rows in embeddings.sides().items():
                things = repeated[side]
                if things is not None and len(things.unique()) <= len(labels.unique()):
                    things = None  # prompts of classes
                for method, measure in self.measures.items():
                    name = f"classification/{method}/{label_set}/{side}"
                    try:
                        metrics[name] = measure(rows, labels, things)
                    except Exception as error:  # the other methods are still worth having
                        metrics |= self.failed([name], error, name)
            if embeddings.y is not None and _are_prompts(embeddings.y, labels):
                name = f"classification/zero_shot/{label_set}/x"
                metrics[name] = zero_shot_accuracy(embeddings.x, embeddings.y, labels)
        return metrics


def _are_prompts(y: Tensor, labels: Tensor) -> bool:
    """Return whether all rows of a label are equal, with several labels."""
    distinct, classes = labels.unique(return_inverse=True)
    first = torch.zeros(len(distinct), dtype=torch.int64, device=y.device)
    first[classes] = torch.arange(len(classes), device=y.device)
    return len(distinct) > 1 and torch.allclose(y[..., first[classes], :], y, rtol=1e-4, atol=1e-6)
