"""Intrinsic dimension of f(X) and g(Y) during training."""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from annotated_types import Ge
from pydantic import PositiveInt
from torch import Tensor

from intrinsic_clip.dimension import DimensionEstimate, Neighbours, mle, twonn
from intrinsic_clip.probes.embeddings import Embeddings
from intrinsic_clip.probes.probe import Probe

Estimator = Literal["mle", "twonn"]


class IntrinsicDimensionProbe(Probe):
    """Logs `id/<estimator>/x` and `id/<estimator>/y` of the normalised representations (paper: MLE, k = 20).

    Args:
        estimators: which of `intrinsic_clip.dimension`.
        k: neighbours that the MLE uses.
    """

    def __init__(
        self,
        estimators: Sequence[Estimator] = ("mle", "twonn"),
        k: Annotated[int, Ge(2)] = 20,
        every_n_epochs: PositiveInt = 1,
        in_sample: bool = False,
    ) -> None:
        super().__init__(every_n_epochs, in_sample)
        self.estimators, self.k = estimators, k

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """ID per estimator and side, with standard errors in `standard_error/…`; NaN where there is a reason."""
        estimators: dict[str, Callable[[Neighbours], DimensionEstimate]] = {
            "mle": lambda neighbours: mle(neighbours, k=self.k),
            "twonn": twonn,
        }
        metrics = {}
        for side in ("x", "y"):
            neighbours = embeddings.neighbours(side, self.k)
            for name in self.estimators:
                estimate = estimators[name](neighbours)
                metrics[f"id/{name}/{side}"] = estimate.value
                metrics[f"id_standard_error/{name}/{side}"] = estimate.standard_error
                self._remember(f"id/{name}/{side}", estimate.reason)
        return metrics

    def _remember(self, name: str, reason: str | None) -> None:
        if reason is None:
            self.reasons.pop(name, None)
        else:
            self.reasons[name] = reason
