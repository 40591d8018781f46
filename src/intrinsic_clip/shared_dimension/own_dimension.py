"""Bound the shared dimension by that of either view alone, where the latter is low enough to be trusted."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.dimension import mle, nearest_neighbours, twonn
from intrinsic_clip.seeding import seeded
from intrinsic_clip.shared_dimension.dependent_rows import grouped_rows
from intrinsic_clip.shared_dimension.result import SharedDimension

ROWS = 5_000  # distinct rows, at most, that the dimension is estimated on
K = 20  # neighbours of the MLE
# Largest estimate that bounds: higher dimensions are estimated too low, most of all with heavy tails.
TRUSTED = 3.5
MARGIN = 1.05  # by which the estimates may be too low


class OwnDimension(NamedTuple):
    """Intrinsic dimension of a view alone.

    Attributes:
        value: the larger of MLE and TwoNN; NaN where there is no estimate.
        most: the most dimensions that the view can share; None where the value is too high, or in doubt.
        doubt: why the rows are no independent draws; None where they seem to be.
        columns: of the view, as many as it can share at most; None where they are not known.
    """

    value: float
    most: int | None
    doubt: str | None = None
    columns: int | None = None

    @property
    def bound(self) -> int | None:
        """Return the smaller of `most` and the columns; None where there is neither."""
        return min((each for each in (self.most, self.columns) if each is not None), default=None)

    def __str__(self) -> str:
        """Return what the bound rests on, in words."""
        if self.columns is not None and self.columns == self.bound:
            return f"{self.columns} column{'s' * (self.columns > 1)}"
        return f"ID {self.value:.1f}"


def own_dimension(rows: Tensor, seed: int) -> OwnDimension:
    """Return the intrinsic dimension of a view, and the most that it can share.

    Args:
        rows: `(n, p)`, columns standardised.
        seed: of the choice of rows.
    """
    columns = rows.shape[1]
    distinct = rows.unique(dim=0)
    chosen = torch.randperm(len(distinct), generator=seeded(seed))[:ROWS]
    if len(chosen) <= K:
        return OwnDimension(float("nan"), None, columns=columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about duplicates and the like; the value is only an upper bound
        neighbours = nearest_neighbours(distinct[chosen], K)
        dimension = max(float(mle(neighbours, k=K).value), float(twonn(neighbours).value))
    doubt = grouped_rows(neighbours)
    if doubt is not None:  # the value is that of a group
        return OwnDimension(dimension, None, doubt, columns)
    if not dimension <= TRUSTED:
        return OwnDimension(dimension, None, columns=columns)
    return OwnDimension(dimension, max(1, int(MARGIN * dimension + 0.5)), columns=columns)


def bounded(estimate: SharedDimension, own: Mapping[str, OwnDimension]) -> SharedDimension:
    """Return an estimate that exceeds the dimension of neither view, and says so where it had to be lowered.

    Args:
        estimate: read off the spectrum.
        own: by side, what `own_dimension` returns.
    """
    bounds = {side: found.bound for side, found in own.items() if found.bound is not None}
    sides = {
        side: value if value is None else min(value, bounds.get(side, value))
        for side, value in estimate.sides.items()
    }
    side = min(bounds, key=lambda side: bounds[side], default="")
    estimate = replace(estimate, sides=sides)
    if not side or estimate.dimension == 0:
        return estimate
    has, most = f"all that {side} has ({own[side]})", bounds[side]
    if estimate.dimension is None:
        return _bounded_without_gap(estimate, most, has)
    if estimate.dimension <= most:
        return estimate
    text = f"{most}, {has}; its spectrum alone says {estimate.text}"
    return _lowered(estimate, most, estimate.draws, dimension=most, text=text)


def _bounded_without_gap(estimate: SharedDimension, most: int, has: str) -> SharedDimension:
    """Return an estimate whose effective number exceeds no view; of one dimension, all of it where any is shared.

    Where the number is a bound alone, or of a spectrum like that of shuffled pairs, the interval begins at 1.
    """
    text = f"{has}; the spectrum alone says {estimate.text}"
    if most == 1:
        lowered = replace(estimate, dimension=1, interval=(1, 1), agreement=1.0, text=f"1, {text}")
        return replace(lowered, doubt=None)
    if estimate.doubt is not None:
        high = min(estimate.interval[1], most)
        return replace(estimate, effective=min(estimate.effective, most), interval=(1, high))
    if estimate.effective <= most:
        return replace(estimate, interval=(estimate.interval[0], min(estimate.interval[1], most)))
    centre = estimate.draws[len(estimate.draws) // 2]
    draws = [draw + estimate.effective - centre for draw in estimate.draws]
    lowered = _lowered(estimate, most, draws, effective=most, bound=most, text=f"at most {most}, {text}")
    return replace(lowered, interval=(1, most))


def _lowered(estimate: SharedDimension, most: int, draws: Sequence[int], **changes: Any) -> SharedDimension:
    """Return an estimate with changes, an interval that ends at a bound, and the share of draws that reach it."""
    low, high = (min(end, most) for end in estimate.interval)
    agreement = sum(draw >= most for draw in draws) / len(draws)
    return replace(estimate, interval=(low, high), agreement=agreement, **changes)
