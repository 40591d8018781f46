"""Intrinsic dimension of representations during training."""

from collections.abc import Sequence
from typing import Annotated, Any

from annotated_types import Ge
from torch import Tensor

from intrinsic_clip.dimension import registry
from intrinsic_clip.probes.embeddings import Embeddings, Side
from intrinsic_clip.probes.probe import Probe


class IntrinsicDimensionProbe(Probe):
    """Logs `id/<estimator>/x` and `id/<estimator>/y` of the representations (paper: MLE, k = 20).

    Standard errors are logged as `id_standard_error/<estimator>/x`. All estimators share one search for neighbours.

    Args:
        source: first; see `Probe` for it and the arguments that are not here.
        estimators: names of `intrinsic_clip.dimension`, or of classes of `skdim.id`, which take their time.
        k: neighbours of mle, mada and tle.
        k_local: neighbours of method_of_moments and local_pca.
    """

    def __init__(
        self,
        *args: Any,
        estimators: registry.EstimatorNames = ("mle", "twonn"),
        k: Annotated[int, Ge(2)] = 20,
        k_local: Annotated[int, Ge(2)] = registry.WIDE,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        registry.check_names(estimators)
        self.k, self.k_local = k, k_local
        self.estimators = sorted(estimators, key=self._needed, reverse=True)  # one search serves all

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Each estimator of each side."""
        return [f"id/{name}/{side}" for side in sides for name in self.estimators]

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """ID per estimator and side, with standard errors in `id_standard_error/…`; NaN where there is a reason."""
        metrics: dict[str, Tensor] = {}
        for side in embeddings.sides():
            for name in self.estimators:
                metrics |= self._estimate(embeddings, side, name)
        return metrics

    def _estimate(self, embeddings: Embeddings, side: Side, name: str) -> dict[str, Tensor]:
        value, error = f"id/{name}/{side}", f"id_standard_error/{name}/{side}"

        def measure() -> dict[str, Tensor]:
            k = self._needed(name)
            estimate = registry.prepare(name, self.k, k, self.k_local)(embeddings.neighbours(side, k))
            self.note(value, estimate.reason)
            return {value: estimate.value, error: estimate.standard_error}

        return self.attempt([value, error], measure, value)

    def _needed(self, name: str) -> int:
        return registry.neighbours_needed(name, self.k, self.k_local)
