"""Bound the shared dimension by that of either view alone, where the latter is low enough to be trusted."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.dimension import mle, nearest_neighbours, twonn
from intrinsic_clip.dimension.doubts import grouped, in_short, near_duplicates
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
    """

    value: float
    most: int | None
    doubt: str | None = None


def own_dimension(rows: Tensor, seed: int) -> OwnDimension:
    """Return the intrinsic dimension of a view, and the most that it can share.

    Args:
        rows: `(n, p)`, columns standardised.
        seed: of the choice of rows.
    """
    distinct = rows.unique(dim=0)
    chosen = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed))[:ROWS]
    if len(chosen) <= K:
        return OwnDimension(float("nan"), None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about duplicates and the like; the value is only an upper bound
        neighbours = nearest_neighbours(distinct[chosen], K)
        dimension = max(float(mle(neighbours, k=K).value), float(twonn(neighbours).value))
    doubt = near_duplicates(neighbours) or grouped(neighbours)
    if doubt is not None:  # the value is that of a group
        return OwnDimension(dimension, None, in_short(doubt))
    if not dimension <= TRUSTED:
        return OwnDimension(dimension, None)
    return OwnDimension(dimension, max(1, int(MARGIN * dimension + 0.5)))


def bounded(estimate: SharedDimension, own: Mapping[str, OwnDimension]) -> SharedDimension:
    """Return an estimate that exceeds the dimension of neither view, and says so where it had to be lowered.

    Args:
        estimate: read off the spectrum.
        own: by side, what `own_dimension` returns.
    """
    bounds = {side: found.most for side, found in own.items() if found.most is not None}
    sides = {
        side: value if value is None else min(value, bounds.get(side, value))
        for side, value in estimate.sides.items()
    }
    side = min(bounds, key=lambda side: bounds[side], default="")
    if not side or not estimate.dimension or estimate.dimension <= bounds[side]:
        return replace(estimate, sides=sides)
    most = bounds[side]
    low, high = estimate.interval
    text = f"{most}, all that {side} has (ID {own[side].value:.1f}); its spectrum alone says {estimate.text}"
    return replace(
        estimate,
        dimension=most,
        sides=sides,
        interval=(min(low, most), min(high, most)),
        agreement=sum(draw >= most for draw in estimate.draws) / len(estimate.draws),
        text=text,
    )
