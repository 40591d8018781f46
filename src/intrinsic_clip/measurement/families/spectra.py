"""Linear dimensions, from the spectrum of the covariance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from intrinsic_clip.dimension import DimensionEstimate, components, effective_rank, participation_ratio
from intrinsic_clip.dimension.percentages import components_name
from intrinsic_clip.dimension.spectrum import SecondMoments
from intrinsic_clip.measurement.embeddings import Embeddings, Measured, Side
from intrinsic_clip.measurement.families.family import ByName, Reporter, Wanted, everything

RATIO = "participation_ratio"
MOST_OF_ROWS = 5  # a participation ratio of n / 5 is a fifth too low


@dataclass(frozen=True)
class Spectrum:
    """`spectrum/<name>/x` and `…/y`, with standard errors as `spectrum_standard_error/<name>/x`.

    The names are `participation_ratio`, `effective_rank`, and `components_95pct` and its like.

    Attributes:
        shares: of the variance that principal components hold, in (0, 1).
    """

    shares: Sequence[float] = (0.9, 0.95, 0.99)

    def estimators(self) -> dict[str, Callable[[SecondMoments], DimensionEstimate]]:
        """Return the estimators by name."""
        counts = {components_name(share): partial(components, variance=share) for share in self.shares}
        return {RATIO: participation_ratio, "effective_rank": effective_rank, **counts}

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the name of each number for each side."""
        return [f"spectrum/{name}/{side}" for side in sides for name in self.estimators()]

    def measure(self, embeddings: Embeddings, reporter: Reporter, wanted: Wanted = everything) -> ByName:
        """Return numbers of dimensions, with standard errors."""
        numbers: ByName = {}
        for side, rows in embeddings.sides().items():
            moments = SecondMoments(rows)
            ratio = participation_ratio(moments)
            self._doubt(side, rows.shape[-2], ratio, reporter)
            for name, estimator in self.estimators().items():
                value, error = f"spectrum/{name}/{side}", f"spectrum_standard_error/{name}/{side}"
                if wanted(value) or wanted(error):
                    estimate = ratio if name == RATIO else estimator(moments)
                    numbers[value] = Measured(estimate.value, estimate.reason)
                    numbers[error] = estimate.standard_error
        return numbers

    def _doubt(self, side: Side, n: int, ratio: DimensionEstimate, reporter: Reporter) -> None:
        """Tell of numbers that the rows, not the embeddings, hold down: 1 / ratio gains 1 / n from n rows."""
        if float(ratio.value.nanmean()) > n / MOST_OF_ROWS:
            reporter.warn_once(
                f"spectrum/…/{side}: {n:,} rows are too few for so many dimensions, so that numbers are lower bounds "
                "and ± is sampling noise only; measure more rows"
            )
