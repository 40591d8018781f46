"""The result that every estimator of intrinsic dimension returns."""

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from intrinsic_clip.dimension import display
from intrinsic_clip.dimension.neighbours import Neighbours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESOLUTION = 1e-9  # relative precision of the distances searched, so that those closer than this are tied


@dataclass(frozen=True, repr=False)
class DimensionEstimate:
    """Estimated intrinsic dimension of each replicate.

    Attributes:
        value: the estimate, `(*R,)` float64; NaN where there is none.
        standard_error: its sampling error, `(*R,)`, by the formula in the estimator's docstring, and no smaller than
            `query_error` where there is one.
        pointwise: an estimate at every point, `(*R, n)`, or at those asked, `(*R, q)`; NaN at points that are left out
            or where it is not finite; None if the estimator makes none.
        n: points per replicate.
        k: neighbours of each point that the estimate uses; None for an estimator that uses none.
        reason: why a value is NaN, else None.
        name: of the estimator, as in registries and logs.
        asked: points of each replicate that were asked for their neighbours among all n; None: every one was.
        query_error: standard error of the value as an estimate of what asking every point gives, by the spread over
            those asked, `(*R,)`; None where every one was asked.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import mle, twonn
        >>> estimate = twonn(torch.randn(3, 100, 4, generator=torch.Generator().manual_seed(0)))
        >>> estimate.value.shape, estimate.pointwise, estimate.n, estimate.k, estimate.reason
        (torch.Size([3]), None, 100, 2, None)
        >>> mle(torch.rand(1000, 3, generator=torch.Generator().manual_seed(0)))
        mle: 2.769 ± 0.020 (n = 1,000, k = 20)
    """

    value: Tensor
    standard_error: Tensor
    pointwise: Tensor | None
    n: int
    k: int | None
    reason: str | None = None
    name: str = ""
    asked: int | None = None
    query_error: Tensor | None = None

    @property
    def doubt(self) -> str | None:
        """Return one line that says why the value is too low to be trusted: too few rows for it; otherwise None."""
        from intrinsic_clip.dimension.doubts import doubted_estimate  # which knows this class

        return doubted_estimate(self)

    def __format__(self, specification: str) -> str:
        """Return the value of one replicate as a number is formatted, `f"{estimate:.1f}"`; else what `print` shows."""
        return format(float(self), specification) if specification else str(self)

    def __float__(self) -> float:
        """Return the value of one replicate, and warn where it is doubtful, which a number cannot say.

        Raises:
            TypeError: there are several replicates.
        """
        if self.value.numel() != 1:
            raise TypeError(
                f"{self.value.numel()} replicates have as many dimensions: take one of .value, or its mean"
            )
        if self.doubt is not None:
            warnings.warn(f"{self.name}: {self.doubt}", stacklevel=2)
        return float(self.value)

    def __repr__(self) -> str:
        """Return the value with its standard error in one line, or the reason why there is none."""
        return display.one_line(self)

    def _repr_html_(self) -> str:
        """Return a small table, with a picture of the pointwise estimates if there are any, for a notebook."""
        return display.table(self)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the pointwise estimates as a histogram with the value, or the value of each replicate.

        Args:
            ax: Matplotlib axes to draw on; None: new ones.

        Returns:
            The axes.
        """
        return display.draw(self, ax)


def conclude(
    neighbours: Neighbours,
    k: int | None,
    value: Tensor,
    standard_error: Tensor,
    pointwise: Tensor | None,
    failure: str,
    name: str = "",
    spread: Tensor | None = None,
) -> DimensionEstimate:
    """Build an estimate by the rules all estimators share: one varying column is dimension 1, no value infinite.

    Values above 1 / RESOLUTION count as infinite: they stem from distances that differ by rounding only.

    Args:
        neighbours: the neighbours that the estimate was made from.
        k: how many of each point it used; None for none.
        value, standard_error: as the formula gives them, `(*R,)`.
        pointwise: as the formula gives them, `(*R, n)`; None if the estimator makes none.
        failure: the reason to report where there are neighbours but the value is not finite.
        name: of the estimator.
        spread: standard error of the value by the spread over its points, `(*R,)`; unused where every point was asked.

    Returns:
        The estimate, with NaN and a reason where the value is not finite.
    """
    has_neighbours = neighbours.valid.any(-1)
    is_line = has_neighbours & (neighbours.dims == 1)
    value = value.masked_fill(is_line, 1.0)
    standard_error = standard_error.masked_fill(is_line, 0.0)
    if pointwise is not None:
        pointwise = pointwise.masked_fill(is_line[..., None], 1.0)
        pointwise = pointwise.where(neighbours.valid & (pointwise.abs() < 1 / RESOLUTION), math.nan)

    query_error = None
    if spread is not None and neighbours.searched is not None:
        asked = neighbours.valid.sum(-1)
        query_error = spread * (1 - asked / neighbours.searched.double()).clamp_min(0).sqrt()
        query_error = query_error.masked_fill(is_line, 0.0)
        # A formula for points of one dimension is too small where they differ, and asking is a part of the error.
        standard_error = query_error.where(query_error > standard_error, standard_error)

    failed = ~(value.abs() < 1 / RESOLUTION)
    reason = neighbours.reason
    if bool((failed & has_neighbours).any()):
        warnings.warn(failure, stacklevel=3)
        reason = failure if reason is None else f"{reason}; {failure}"
    return DimensionEstimate(
        value=value.masked_fill(failed, math.nan),
        standard_error=torch.where(failed | ~standard_error.isfinite(), math.nan, standard_error),
        pointwise=pointwise,
        n=neighbours.n,
        k=k,
        reason=reason,
        name=name,
        asked=neighbours.asked,
        query_error=None if query_error is None else query_error.masked_fill(failed, math.nan),
    )
