"""Count the linear directions that representations use."""

from collections.abc import Sequence
from typing import Annotated, Any

from annotated_types import Gt, Lt
from torch import Tensor

from intrinsic_clip.dimension import spectrum
from intrinsic_clip.measurement.embeddings import Embeddings, Measured, Side
from intrinsic_clip.measurement.families import Spectrum
from intrinsic_clip.probes.probe import Probe
from intrinsic_clip.typed_values import checked

Share = Annotated[float, Gt(0), Lt(1)]


class SpectrumProbe(Probe):
    """Log the linear dimension of representations, `spectrum/<name>/x` and `…/y`.

    The names are `participation_ratio`, `effective_rank`, and `components_95pct` and its like, the number of principal
    components that hold 95 % of the variance.

    Standard errors are logged as `spectrum_standard_error/participation_ratio/x` and so on.

    Args:
        args, kwargs: `source` first, and the other arguments of `Probe`.
        shares: of the variance that the components hold, in (0, 1).
    """

    @checked()
    def __init__(self, *args: Any, shares: Sequence[Share] = (0.9, 0.95, 0.99), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.family = Spectrum(tuple(shares))
        self.estimators = self.family.estimators()

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the name of each number for each side."""
        return self.family.names(sides)

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor | Measured]:
        """Return numbers of dimensions, with standard errors."""
        return self.family.measure(embeddings, self)

    def histograms(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Return the principal components' shares of the variance, as logarithms to base 10."""
        samples = {}
        for side, rows in embeddings.sides().items():
            values = spectrum(rows)
            shares = values / values.sum(-1, keepdim=True)
            samples[f"spectrum/histogram_log10_share/{side}"] = shares.clamp_min(1e-16).log10()
        return samples
