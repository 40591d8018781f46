"""Combine the estimates at the points into one, with its standard error."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor

Combine = Literal["mean", "harmonic", "median"]


def check_combine(combine: str) -> None:
    """Check that the way to combine is known, before neighbours are searched.

    Raises:
        ValueError: an unknown way.
    """
    if combine not in get_args(Combine):
        raise ValueError(f'combine must be "mean", "harmonic" or "median", got {combine!r}')


def combined(pointwise: Tensor, combine: Combine) -> tuple[Tensor, Tensor]:
    """Return the mean, harmonic mean or median of the estimates at the points, and its standard error.

    The error is sd / √n for the mean and value² · sd(1 / estimate) / √n for the harmonic mean. For the median it is a
    quarter of the distance from the n/2 − √n-th to the n/2 + √n-th estimate, an interval that holds the true median 95
    times in 100; where half of the estimates lie far from the other half, the error is too small. All take them as
    independent.

    Args:
        pointwise: `(*R, n)`; NaN is left out.
        combine: which of the three.

    Returns:
        Two tensors `(*R,)`. An infinite estimate makes the mean infinite, and not the other two.
    """
    if combine == "mean":
        return pointwise.nanmean(-1), _error_of_mean(pointwise)
    if combine == "harmonic":
        value = 1 / (1 / pointwise).nanmean(-1)
        return value, value.square() * _error_of_mean(1 / pointwise)
    return nanmedian(pointwise), _error_of_median(pointwise)


def _error_of_mean(numbers: Tensor) -> Tensor:
    """Return sd / √count along the last axis, NaN left out."""
    count = (~numbers.isnan()).sum(-1).double()
    squares = (numbers - numbers.nanmean(-1, keepdim=True)).square().nansum(-1)
    return (squares / (count - 1) / count).sqrt()


def _error_of_median(numbers: Tensor) -> Tensor:
    """Return a quarter of the distance between the quantiles 1/2 ± 1/√count along the last axis, NaN left out."""
    count = (~numbers.isnan()).sum(-1, keepdim=True).double()
    side = count.rsqrt().clamp_max(0.5)
    error = (nanquantile(numbers, 0.5 + side) - nanquantile(numbers, 0.5 - side)) / 4
    return error.where(count.squeeze(-1) > 1, math.nan)


def nanmedian(numbers: Tensor) -> Tensor:
    """Return the median along the last axis, NaN left out: the mean of the middle two, unlike torch.nanmedian."""
    return nanquantile(numbers, 0.5)


def nanquantile(numbers: Tensor, q: float | Tensor) -> Tensor:
    """Return the quantile along the last axis, NaN left out, linear between order statistics; q may be `(*R, 1)`.

    `torch.nanquantile` does the same for at most 16 million numbers.
    """
    ordered = torch.nn.functional.pad(numbers, (0, 1), value=math.nan).sort(-1).values  # NaN comes last
    place = ((~numbers.isnan()).sum(-1, keepdim=True) - 1).clamp_min(0).double() * q
    low, high = (ordered.gather(-1, side.long()) for side in (place.floor(), place.ceil()))
    return (low + (high - low) * (place - place.floor())).squeeze(-1)
