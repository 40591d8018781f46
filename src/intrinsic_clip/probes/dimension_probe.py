"""Measure the intrinsic dimension of representations during training."""

from collections.abc import Sequence
from typing import Annotated, Any

from annotated_types import Ge
from torch import Tensor

from intrinsic_clip.dimension import registry
from intrinsic_clip.measurement.embeddings import Embeddings, Measured, Side
from intrinsic_clip.measurement.families import IntrinsicDimension
from intrinsic_clip.probes.probe import Probe
from intrinsic_clip.typed_values import checked

MORE_ROWS = "max_samples=…, or a larger validation set"


class IntrinsicDimensionProbe(Probe):
    """Log the intrinsic dimension of representations as `id/<estimator>/x` and `…/y` (paper: MLE, k = 20).

    Standard errors are logged as `id_standard_error/<estimator>/x`. All estimators share one search for neighbours.

    Args:
        args, kwargs: `source` first, and the other arguments of `Probe`.
        estimators: names in `intrinsic_clip.dimension`, or of classes in `skdim.id`, which are slow.
        k: neighbours of mle, mada and tle.
        k_local: neighbours of method_of_moments and local_pca.
    """

    @checked()
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
        self.family = IntrinsicDimension(estimators, k, k_local, MORE_ROWS)
        self.k, self.k_local, self.estimators = k, k_local, self.family.in_order()

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the name of each estimate for each side."""
        return self.family.names(sides)

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor | Measured]:
        """Estimate the dimension of each side by each estimator, with standard errors."""
        return self.family.measure(embeddings, self)
