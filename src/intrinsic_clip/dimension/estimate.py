"""The result that every estimator of intrinsic dimension returns."""

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_clip.dimension.neighbours import Neighbours

RESOLUTION = 1e-9  # relative precision of the distances searched, so that those closer than this are tied


@dataclass(frozen=True)
class DimensionEstimate:
    """Estimated intrinsic dimension of each replicate.

    Attributes:
        value: the estimate, `(*R,)` float64; NaN where there is none.
        standard_error: its sampling error, `(*R,)`, by the formula in the estimator's docstring.
        pointwise: an estimate at every point, `(*R, n)`, NaN at points that are left out or where it is not
            finite; None if the estimator makes none.
        n: points per replicate.
        k: neighbours of each point that the estimate uses; None for an estimator that uses none.
        reason: why a value is NaN, else None.
    """

    value: Tensor
    standard_error: Tensor
    pointwise: Tensor | None
    n: int
    k: int | None
    reason: str | None = None


def conclude(
    neighbours: Neighbours,
    k: int | None,
    value: Tensor,
    standard_error: Tensor,
    pointwise: Tensor | None,
    failure: str,
) -> DimensionEstimate:
    """Build an estimate by the rules all estimators share: one varying column is dimension 1, no value infinite.

    Values above 1 / RESOLUTION count as infinite: they stem from distances that differ by rounding only.

    Args:
        neighbours: the neighbours that the estimate was made from.
        k: how many of each point it used; None for none.
        value, standard_error: as the formula gives them, `(*R,)`.
        pointwise: as the formula gives them, `(*R, n)`; None if the estimator makes none.
        failure: the reason to report where there are neighbours but the value is not finite.

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
    )
