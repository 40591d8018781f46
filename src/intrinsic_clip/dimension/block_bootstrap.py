"""Intervals for estimates that are means over points: whole regions of nearby points are drawn again and again.

The estimates at points that share neighbours depend on each other, which the estimators' formulas ignore. A region
keeps most of such points together. For MLE of Gaussians in 2, 6 and 15 dimensions (300, 600 and 2,000 points) the
interval was 0.99 to 1.28 times as wide as the spread over fresh samples, and the formula's 0.64 to 0.93 times.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.seeding import seeded

REGIONS = 60
LEAST = 8  # points of a region, on average
RESAMPLES = 1000
BLOCK = 4096  # rows
LEVEL = 0.95


class Interval(NamedTuple):
    """An interval of a mean.

    Attributes:
        low, high: its ends; NaN where there are too few points.
        regions: how many were drawn from.
    """

    low: float
    high: float
    regions: int


def block_bootstrap(
    values: Tensor,
    positions: Tensor,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the percentile interval of the mean of values, from regions of nearby points drawn with replacement.

    Regions are the points nearest to each of up to 60 points drawn at random (Künsch, *The jackknife and the bootstrap
    for general stationary observations*, Annals of Statistics 17, 1989, for blocks in time).

    Args:
        values: one at each point, `(n,)`; NaN is left out.
        positions: of the points, `(n, d)`.
        level: of the interval.
        resamples: draws of all regions.
        seed: of all draws.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension.block_bootstrap import block_bootstrap
        >>> generator = torch.Generator().manual_seed(0)
        >>> values, positions = (torch.randn(2000, m, generator=generator) for m in (1, 2))
        >>> interval = block_bootstrap(values[:, 0], positions)  # of width 4 / √2000 = 0.09
        >>> round(interval.high - interval.low, 1), interval.regions
        (0.1, 60)
    """
    means, regions = block_means(values[:, None], positions, resamples=resamples, seed=seed)
    return percentiles(means[:, 0], regions, level)


def percentiles(drawn: Tensor, regions: int, level: float = LEVEL) -> Interval:
    """Return the interval that holds the middle share of values drawn, `(resamples,)`; NaN if there are none."""
    if not len(drawn):
        return Interval(math.nan, math.nan, regions)
    low, high = torch.quantile(drawn, torch.tensor([(1 - level) / 2, (1 + level) / 2]).to(drawn)).tolist()
    return Interval(low, high, regions)


def block_means(
    values: Tensor, positions: Tensor, *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Tensor, int]:
    """Return the means of several values in each draw of regions, and the number of regions.

    Args:
        values: some at each point, `(n, s)`; points with a NaN are left out.
        positions, resamples, seed: as for `block_bootstrap`.

    Returns:
        Means of float64, `(resamples, s)`; `(0, s)` where there are too few points.
    """
    usable = values.isfinite().all(1)
    values, positions = values[usable].double().cpu(), positions[usable]
    regions = min(REGIONS, len(values) // LEAST)
    if regions < 2:
        return values.new_empty(0, values.shape[1]), regions
    generator = seeded(seed)
    pivots = torch.randperm(len(values), generator=generator)[:regions]
    region = _nearest(positions, pivots.to(positions.device))
    counts = torch.bincount(region, minlength=regions).double()
    sums = torch.zeros(regions, values.shape[1], dtype=torch.float64).index_add_(0, region, values)
    drawn = torch.randint(regions, (resamples, regions), generator=generator)
    means = sums[drawn].sum(1) / counts[drawn].sum(1).clamp_min(1)[:, None]
    # Regions differ in size, and their own spread is that of regions − 1 free ones.
    return values.mean(0) + (means - values.mean(0)) * math.sqrt(regions / (regions - 1)), regions


def _nearest(positions: Tensor, pivots: Tensor) -> Tensor:
    """Return which of some rows each row is nearest to, `(n,)`.

    Rows are centred and scaled in float64: products of rows far from the origin would leave no digits of the distances
    between them, and squares of large and small numbers leave the range of numbers.
    """
    largest = max(float(positions.abs().max()), torch.finfo(torch.float64).tiny)
    centre = sum((block.double() / largest).sum(0) for block in positions.split(BLOCK)) / len(positions)
    ends = positions[pivots].double() / largest - centre
    offsets = ends.square().sum(1) / 2
    blocks = (block.double() / largest - centre for block in positions.split(BLOCK))
    nearest = [offsets.sub(block @ ends.T).cpu().numpy().argmin(1) for block in blocks]
    return torch.cat([torch.from_numpy(part) for part in nearest])
