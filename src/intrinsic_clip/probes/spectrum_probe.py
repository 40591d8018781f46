"""How many linear directions representations use."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

from annotated_types import Gt, Lt
from torch import Tensor

from intrinsic_clip.dimension import (
    DimensionEstimate,
    components,
    effective_rank,
    participation_ratio,
    spectrum,
)
from intrinsic_clip.probes.embeddings import Embeddings, Side
from intrinsic_clip.probes.probe import Probe

Share = Annotated[float, Gt(0), Lt(1)]


class SpectrumProbe(Probe):
    """Logs `spectrum/participation_ratio/x`, `spectrum/effective_rank/x` and `spectrum/components_95pct/x`, and of y.

    Standard errors are logged as `spectrum_standard_error/participation_ratio/x` and so on.

    Args:
        source: first; see `Probe` for it and the arguments that are not here.
        shares: of the variance, that the components hold.
    """

    def __init__(self, *args: Any, shares: Sequence[Share] = (0.9, 0.95, 0.99), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.estimators: dict[str, Callable[[Tensor], DimensionEstimate]] = {
            "participation_ratio": participation_ratio,
            "effective_rank": effective_rank,
        }
        for share in shares:
            self.estimators[f"components_{100 * share:g}pct"] = partial(components, variance=share)

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Each of each side."""
        return [f"spectrum/{name}/{side}" for side in sides for name in self.estimators]

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Numbers of dimensions per replicate."""
        metrics = {}
        for side, rows in embeddings.sides().items():
            for name, estimator in self.estimators.items():
                estimate = estimator(rows)
                metrics[f"spectrum/{name}/{side}"] = estimate.value
                metrics[f"spectrum_standard_error/{name}/{side}"] = estimate.standard_error
                self.note(f"spectrum/{name}/{side}", estimate.reason)
        return metrics

    def draw(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """The shares of the principal components in the variance, as logarithms to base 10."""
        samples = {}
        for side, rows in embeddings.sides().items():
            values = spectrum(rows)
            shares = values / values.sum(-1, keepdim=True)
            samples[f"spectrum/histogram_log10_share/{side}"] = shares.clamp_min(1e-16).log10()
        return samples
