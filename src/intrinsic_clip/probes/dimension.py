"""Intrinsic dimension of representations during training."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import Ge
from torch import Tensor

from intrinsic_clip import dimension
from intrinsic_clip.dimension import DimensionEstimate, Neighbours
from intrinsic_clip.probes.embeddings import Embeddings, Side
from intrinsic_clip.probes.probe import Probe

Name = Literal[
    "mle", "twonn", "gride", "correlation_integral", "method_of_moments", "mada", "tle", "local_pca"
]


class Estimator(NamedTuple):
    """An estimator and the neighbours that it needs."""

    estimate: Callable[[Neighbours], DimensionEstimate]
    k: int


class IntrinsicDimensionProbe(Probe):
    """Logs `id/<estimator>/x` and `id/<estimator>/y` of the representations (paper: MLE, k = 20).

    Standard errors are logged as `id_standard_error/<estimator>/x`. All estimators share one search for neighbours.

    Args:
        source: first; see `Probe` for it and the arguments that are not here.
        estimators: which of `intrinsic_clip.dimension`.
        k: neighbours of the MLE.
        k_local: neighbours of method_of_moments and local_pca.
    """

    def __init__(
        self,
        *args: Any,
        estimators: Sequence[Name] = ("mle", "twonn"),
        k: Annotated[int, Ge(2)] = 20,
        k_local: Annotated[int, Ge(2)] = 100,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        fixed = {"twonn": 2, "gride": 2, "correlation_integral": 20, "mada": 20, "tle": 20}
        options = {"mle": k, "method_of_moments": k_local, "local_pca": k_local}
        unknown = [name for name in estimators if name not in fixed | options]
        if unknown:
            raise ValueError(f"there is no estimator {unknown[0]!r}; there is {', '.join(fixed | options)}")
        found = {
            name: Estimator(getattr(dimension, name), fixed[name]) for name in estimators if name in fixed
        }
        for name in set(estimators) & set(options):
            found[name] = Estimator(partial(getattr(dimension, name), k=options[name]), options[name])
        self.estimators = dict(sorted(found.items(), key=lambda item: -item[1].k))  # one search serves all

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Each estimator of each side."""
        return [f"id/{name}/{side}" for side in sides for name in self.estimators]

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """ID per estimator and side, with standard errors in `id_standard_error/…`; NaN where there is a reason."""
        metrics: dict[str, Tensor] = {}
        for side in embeddings.sides():
            for name, estimator in self.estimators.items():
                metrics |= self._estimate(embeddings, side, name, estimator)
        return metrics

    def _estimate(
        self, embeddings: Embeddings, side: Side, name: str, estimator: Estimator
    ) -> dict[str, Tensor]:
        value, error = f"id/{name}/{side}", f"id_standard_error/{name}/{side}"

        def measure() -> dict[str, Tensor]:
            estimate = estimator.estimate(embeddings.neighbours(side, estimator.k))
            self.note(value, estimate.reason)
            return {value: estimate.value, error: estimate.standard_error}

        return self.attempt([value, error], measure, value)
