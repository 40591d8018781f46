"""Measure the intrinsic dimension of representations during training."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from annotated_types import Ge
from torch import Tensor

from intrinsic_clip.dimension import DimensionEstimate, registry
from intrinsic_clip.dimension.doubts import grouped, near_duplicates, too_few_rows
from intrinsic_clip.probes.embeddings import Embeddings, Side
from intrinsic_clip.probes.probe import Measured, Probe


class IntrinsicDimensionProbe(Probe):
    """Log the intrinsic dimension of representations as `id/<estimator>/x` and `…/y` (paper: MLE, k = 20).

    Standard errors are logged as `id_standard_error/<estimator>/x`. All estimators share one search for neighbours.

    Args:
        args, kwargs: `source` first, and the other arguments of `Probe`.
        estimators: names in `intrinsic_clip.dimension`, or of classes in `skdim.id`, which are slow.
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
        """Return the name of each estimate for each side."""
        return [f"id/{name}/{side}" for side in sides for name in self.estimators]

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor | Measured]:
        """Estimate the dimension of each side by each estimator, with standard errors."""
        metrics: dict[str, Tensor | Measured] = {}
        for side in embeddings.sides():
            for name in self.estimators:
                metrics |= self._estimate(embeddings, side, name)
        return metrics

    def _estimate(self, embeddings: Embeddings, side: Side, name: str) -> Mapping[str, Tensor | Measured]:
        value, error = f"id/{name}/{side}", f"id_standard_error/{name}/{side}"
        k = self._needed(name)
        try:
            estimate = registry.prepare(name, self.k, k, self.k_local)(embeddings.neighbours(side, k))
        except Exception as failure:  # the other estimators are still worth having
            return self.failed([value, error], failure, value)
        self._doubt(embeddings, side, name, estimate)
        return {value: Measured(estimate.value, estimate.reason), error: estimate.standard_error}

    def _doubt(self, embeddings: Embeddings, side: Side, name: str, estimate: DimensionEstimate) -> None:
        """Warn, once for each side and cause, of numbers that look right and are not."""
        if estimate.k is None or estimate.k > self.k or not bool(estimate.value.isfinite().any()):
            return
        neighbours = embeddings.neighbours(side, estimate.k)
        rows = int(neighbours.valid.sum(-1).double().mean())
        value = float(estimate.value.nanmean())
        if too_few_rows({name: (value, rows, estimate.k)}) is not None:
            self.warn_once(
                f"id/…/{side}: {rows:,} rows are too few for such a dimension, so that estimates are lower bounds and "
                "± is sampling noise only; measure more rows (max_samples=…, or a larger validation set)"
            )
        if (near_duplicates(neighbours) or grouped(neighbours)) is not None:
            self.warn_once(
                f"id/…/{side}: rows are near-duplicates or come in small groups, as copies or captions of one image "
                "do, so that estimates are far too low; keep one of each in the validation set"
            )

    def _needed(self, name: str) -> int:
        return registry.neighbours_needed(name, self.k, self.k_local)
