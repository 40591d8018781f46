"""Bound the shared dimension by that of either view alone, where the latter is low enough to be trusted."""

import warnings
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from intrinsic_clip.dimension import mle, nearest_neighbours, twonn
from intrinsic_clip.shared_dimension.result import SharedDimension

ROWS = 5_000  # distinct rows, at most, that the dimension is estimated on
K = 20  # neighbours of the MLE
# Largest estimate that bounds: higher dimensions are estimated too low, most of all with heavy tails.
TRUSTED = 3.5
MARGIN = 1.05  # by which the estimates may be too low


def own_dimension(rows: Tensor, seed: int) -> tuple[float, int | None]:
    """Return the intrinsic dimension of a view, the larger of MLE and TwoNN, and the most that it can share.

    Args:
        rows: `(n, p)`, columns standardised.
        seed: of the choice of rows.

    Returns:
        NaN and None where there is no estimate; None for the bound where the dimension is too high to be trusted.
    """
    distinct = rows.unique(dim=0)
    chosen = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed))[:ROWS]
    if len(chosen) <= K:
        return float("nan"), None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about duplicates and the like; the value is only an upper bound
        neighbours = nearest_neighbours(distinct[chosen], K)
        dimension = max(float(mle(neighbours, k=K).value), float(twonn(neighbours).value))
    if not dimension <= TRUSTED:
        return dimension, None
    return dimension, max(1, int(MARGIN * dimension + 0.5))


def bounded(estimate: SharedDimension, own: Mapping[str, tuple[float, int | None]]) -> SharedDimension:
    """Return an estimate that exceeds the dimension of neither view, and says so where it had to be lowered.

    Args:
        estimate: read off the spectrum.
        own: by side, what `own_dimension` returns.
    """
    bounds = {side: bound for side, (_, bound) in own.items() if bound is not None}
    sides = {
        side: value if value is None else min(value, bounds.get(side, value))
        for side, value in estimate.sides.items()
    }
    side = min(bounds, key=lambda side: bounds[side], default="")
    if not side or not estimate.dimension or estimate.dimension <= bounds[side]:
        return replace(estimate, sides=sides)
    most = bounds[side]
    low, high = estimate.interval
    text = f"{most}, all that {side} has (ID {own[side][0]:.1f}); its spectrum alone says {estimate.text}"
    return replace(
        estimate,
        dimension=most,
        sides=sides,
        interval=(min(low, most), min(high, most)),
        agreement=sum(draw >= most for draw in estimate.draws) / len(estimate.draws),
        text=text,
    )
