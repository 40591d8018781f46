"""Project pairs on the leading canonical directions of other pairs, so that what they share is not made up."""

import math
import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.dimension import mle
from intrinsic_clip.dimension.arrays import whole_number
from intrinsic_clip.metrics.canonical_rank import canonical_rank
from intrinsic_clip.metrics.information_estimate import Pairs
from intrinsic_clip.metrics.leading_directions import canonical_directions

RIDGE = 1e-6  # relative to a column's mean variance: directions of little variance may be shared too
NEIGHBOURS = 20  # of the MLE


class Projected(NamedTuple):
    """Held-out rows on m shared directions, `(n, m)` each, or why there are none."""

    x: Tensor
    y: Tensor
    reason: str | None = None


def project_held_out(fit: Pairs, held_out: Pairs, directions: int | None) -> Projected:
    """Project held-out pairs on the leading canonical directions of the pairs to fit on.

    Args:
        fit, held_out: `(n, p_x)` and `(n, p_y)` each, float64.
        directions: how many; None: as many as `canonical_rank` finds among the pairs to fit on, and no more than their
            intrinsic dimension: of a curved surface more directions correlate, but the further ones are functions of
            the first, and what they share would be counted twice.
    """
    if directions is None:
        found = canonical_rank(*fit)
        if bool(found.rank.isnan()):
            return Projected(held_out[0][:, :0], held_out[1][:, :0], found.reason)
        directions = int(found.rank)
        directions = min([directions, *(_dimensions(rows, directions) for rows in fit)])
    at = canonical_directions(*fit, ridge=RIDGE)
    x = (held_out[0] - at.mean_x) @ at.x[:, :directions]
    y = (held_out[1] - at.mean_y) @ at.y[:, :directions]
    return Projected(x, y)


def check_directions(directions: int | None) -> None:
    """Check a number of directions.

    Raises:
        ValueError: it is not at least 1.
    """
    if directions is not None:
        whole_number("directions", directions, 1)


def _dimensions(rows: Tensor, most: int) -> int:
    """Return of how many dimensions a Gaussian is whose MLE is nearest to that of rows, at most `most`.

    The MLE of many dimensions is too small with few rows; that of a Gaussian of as many rows is so too.
    """
    measured = _mle(rows)
    if most < 2 or math.isnan(measured):
        return most
    low, high = 0, most  # the MLE of a Gaussian of `high` dimensions is larger, as far as is known
    values = {0: 0.0}
    while high - low > 1:
        middle = (low + high) // 2
        values[middle] = _of_gaussian(len(rows), middle)
        low, high = (middle, high) if values[middle] < measured else (low, middle)
    above = values.get(high, _of_gaussian(len(rows), high))
    return max(1, low if measured - values[low] < above - measured else high)


def _of_gaussian(n: int, m: int) -> float:
    return _mle(torch.randn(n, m, generator=torch.Generator().manual_seed(m), dtype=torch.float64))


def _mle(rows: Tensor) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of too few rows, which the comparison allows for
        return float(mle(rows, k=min(NEIGHBOURS, len(rows) // 4)).value)
