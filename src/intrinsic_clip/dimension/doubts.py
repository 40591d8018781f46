"""Reasons to doubt an estimate that looks right: too few rows for it, near-duplicates, or values that were rounded.

Each function returns one sentence that says what is wrong and what to do, or None.
"""

import math
import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from intrinsic_clip.dimension.estimate import RESOLUTION, DimensionEstimate
from intrinsic_clip.dimension.neighbours import Neighbours

REACH = 0.75  # of a neighbourhood, as a share of the cloud's radius; see `too_few_rows`
ASKED_REACH = 0.65  # of the rows to ask for: a value that is too low passes its own rule too soon
LEAP = 1000.0  # from one neighbour's distance to the next: its probability in m dimensions is 1000^-m
GROUPED = (
    4.0  # growth at one place, as a multiple of that at most places; 1 but for chance, edges and curvature
)
LEAST_LEAP = 8.0  # growth of one row, as such a multiple; e^-8 of the rows have it by chance
SHARE = 0.005  # of the rows, from which on near-duplicates or ties decide an estimate
MOST_ROWS = 1e8
WHOLE = "whole numbers"
NOT_OF_DISTANCES = ("local_pca",)  # counts the directions of a neighbourhood, however wide it is
BLOCK = 4096  # rows


def reach(value: float, n: int, k: int) -> float:
    """Return the radius of a neighbourhood of k points, as a share of the radius of n points in so many dimensions.

    A ball of k of n uniform points has the share (k / n)^(1 / value) of the radius of all.

    Example:
        >>> from intrinsic_clip.dimension.doubts import reach
        >>> round(reach(5, 10_000, 20), 2), round(reach(100, 64, 20), 2)
        (0.29, 0.99)
    """
    return min(1.0, (k / n) ** (1 / value)) if value > 0 else 0.0


def too_few_rows(estimates: Mapping[str, tuple[float, int, int]]) -> str | None:
    """Doubt estimates whose neighbourhoods are nearly as wide as the whole cloud, and thus not local.

    The rule is that of Eckmann and Ruelle (*Fundamental limitations for estimating dimensions and Lyapunov exponents in
    dynamical systems*, Physica D 56, 1992): n points show no more dimensions than scales that their neighbourhoods can
    tell from the cloud. On Gaussian and uniform samples of 64 to 4,000 rows in 3 to 50 dimensions the
    maximum-likelihood estimates with a reach above 0.75 lacked a fifth to two thirds of the dimensions, those below 0.5
    at most a fifth.

    Args:
        estimates: the value, the rows n and the neighbours k of each estimator, by title.
    """
    wide = {
        title: (value, n, k)
        for title, (value, n, k) in estimates.items()
        if math.isfinite(value) and value > 1 and reach(value, n, k) > REACH
    }
    if not wide:
        return None
    title, (value, n, k) = max(wide.items(), key=lambda item: reach(*item[1]))
    remedy = _enough(value, k)
    listed = ", ".join(f"{name} {number:.3g}" for name, (number, _, _) in wide.items())
    return (
        f"{n:,} rows are too few for {listed}: the {k} nearest neighbours of a row reach across "
        f"{100 * reach(value, n, k):.0f} % of the cloud ({title}), so these are lower bounds that lack a fifth or "
        f"more, and ± is sampling noise only; {remedy} would be needed, and the curve against sample size shows "
        "whether the values still rise"
    )


def doubted_estimate(estimate: DimensionEstimate) -> str | None:
    """Doubt the estimate of one estimator by the rule of `too_few_rows`, in words for one value.

    Gaussians, cubes and spheres of 3 to 50 dimensions and 32 to 4,000 rows agree with the rule: what it doubts lacked a
    fifth or more, and it is silent about 1,000 rows in up to 10 dimensions. TwoNN and GRIDE, whose neighbourhoods are
    small, pass sooner: of 10 dimensions they show 8.5 to 9 with 64 rows.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import mle
        >>> from intrinsic_clip.dimension.doubts import doubted_estimate
        >>> points = torch.randn(1000, 10, generator=torch.Generator().manual_seed(0))
        >>> doubted_estimate(mle(points)) is None, str(doubted_estimate(mle(points[:64])))[:23]
        (True, '64 rows are too few for')
    """
    values = estimate.value[estimate.value.isfinite()]
    if estimate.k is None or estimate.name in NOT_OF_DISTANCES or not values.numel():
        return None
    value, n, k = float(values.max()), estimate.n, estimate.k
    if value <= 1 or reach(value, n, k) <= REACH:
        return None
    neighbours = "nearest neighbour reaches" if k == 1 else f"{k} nearest neighbours reach"
    return (
        f"{n:,} rows are too few for so many dimensions: a row's {neighbours} across {100 * reach(value, n, k):.0f} % "
        f"of the cloud, so this is a lower bound, and ± is sampling noise only; {_enough(value, k)} would be needed"
    )


def _enough(value: float, k: int) -> str:
    """Return how many rows a dimension needs, in words."""
    enough = k * ASKED_REACH ** -min(value, 1000)
    return (
        f"at least {float(f'{enough:.1g}'):,.0f} rows" if enough < MOST_ROWS else "more rows than anyone has"
    )


def doubted_distances(points: Tensor, neighbours: Neighbours) -> str | None:
    """Return the first doubt about distances that applies: near-duplicates, rounding, ties of codes or counts, groups.

    Args:
        points: `(n, d)`, as they were given.
        neighbours: those of these points, or of a sample of them.
    """
    return (
        near_duplicates(neighbours) or rounded(points, neighbours) or tied(neighbours) or grouped(neighbours)
    )


def in_short(doubt: str) -> str:
    """Return what is wrong, the beginning of a doubt's sentence, without what follows from it."""
    return re.split("[:,;] ", doubt)[0]


def near_duplicates(neighbours: Neighbours) -> str | None:
    """Doubt distances that leap a thousandfold from one neighbour to the next, as those of copies with noise do."""
    if neighbours.k < 2:
        return None
    leaping, rows = _count(neighbours, neighbours.k, lambda nearer, farther: farther > LEAP * nearer)
    if leaping < max(2, SHARE * rows, _leaps_by_chance(neighbours)):
        return None
    return (
        f"{leaping:,} of {rows:,} rows{_asked(neighbours)} are near-duplicates: some of their neighbours are over "
        f"{LEAP:,.0f} times closer than the next, as copies that differ by noise or rounding are. TwoNN, GRIDE "
        "and MLE then measure the noise, and are far too low; keep one row of each such group"
    )


def _leaps_by_chance(neighbours: Neighbours) -> float:
    """Return more rows than leap by chance: along a curve one in a thousand does, and then mostly its neighbour too.

    The dimension is that of the median ratio of the first two distances, 2^(1/m), which a few copies do not change; at
    least 1, since many copies make it small.
    """
    first = _valid(neighbours)[:, :2].log()
    dimension = max(1.0, math.log(2) / max(float(first.diff(dim=1).median()), 1e-9)) if len(first) else 1.0
    expected = len(first) * LEAP**-dimension
    return expected + 6 * math.sqrt(2 * expected)


def grouped(neighbours: Neighbours) -> str | None:
    """Doubt distances that grow far more from one neighbour to the next than at all other places: rows come in groups.

    In m dimensions j · log(R_(j+1) / R_j) has the mean 1 / m for every j.
    """
    distances = _valid(neighbours)
    k = min(neighbours.k, 20, len(distances) // 4)
    if k < 5:
        return None
    places = torch.arange(1, k, dtype=torch.float64, device=distances.device)
    growth = (
        sum(block[:, :k].log().diff(dim=1).sum(0) for block in distances.split(BLOCK))
        / len(distances)
        * places
    )
    largest, place = growth.max(0)
    if not largest > GROUPED * growth.median():
        return None
    size = int(place) + 2  # the row itself, and its neighbours before the leap
    leaps = (distances[:, size - 1] / distances[:, size - 2]).log()
    leaping = leaps[leaps * (size - 1) > LEAST_LEAP * growth.median()]
    few = 2 * len(leaping) < len(leaps)
    rows = f"{len(leaping):,} of {len(leaps):,} rows{_asked(neighbours)}" if few else "rows"
    times = math.exp(float(leaping.mean() if few else leaps.mean()))
    return (
        f"{rows} come in groups of {size}: the next neighbour beyond is typically {times:.2g} times farther. "
        "Estimators mix distances within and between groups (MLE and TLE are then far too low); measure one row of "
        "each group"
    )


def tied(neighbours: Neighbours) -> str | None:
    """Doubt neighbours at equal distances, which continuous coordinates never have."""
    ties, rows = _count(neighbours, 8, lambda nearer, farther: farther <= nearer * (1 + RESOLUTION))
    if neighbours.k < 2 or ties < max(2, 0.1 * rows):
        return None
    return (
        f"{ties:,} of {rows:,} rows{_asked(neighbours)} have neighbours at exactly equal distances, as points of a "
        "grid, codes, counts or rounded numbers do; the estimators of dimension assume continuous coordinates, "
        "and ± does not cover this"
    )


def rounded(points: Tensor, neighbours: Neighbours) -> str | None:
    """Doubt values whose rounding moves a point by a good part of the distance to its nearest neighbour.

    Args:
        points: `(n, d)`, as they were given.
        neighbours: those of these points, or of a sample of them.
    """
    valid = _valid(neighbours)
    sample = points[:: max(1, len(points) // 1000)].double()
    found = _rounding(sample) if len(valid) else None
    if found is None:
        return None
    kind, moved = found
    nearest = float(valid[:, 0].median())
    if moved < 0.2 * nearest or (kind == WHOLE and tied(neighbours)):  # whole numbers may be codes or counts
        return None
    return (
        f"the values are {kind}, which moves a row by about {moved:.2g} where its nearest neighbour is at "
        f"{nearest:.2g}: the dimension at that scale is that of the rounding; take the numbers before they were "
        "rounded, or larger scales (gride, the curve against scale)"
    )


def _rounding(sample: Tensor) -> tuple[str, float] | None:
    """Return how values are rounded, and by how much that moves a row and its neighbour apart, root mean square."""
    for decimals in (0, 1, 2, 3):
        scaled = sample * 10**decimals
        whole = scaled.round()
        nearly = 1e-6 * scaled.abs().clamp_max(1e4)  # float32 has seven digits; small numbers are no zeros
        if bool(((scaled - whole).abs() <= nearly).all()) and _stay_apart(sample, whole):
            columns = int((sample != sample[0]).any(0).sum())
            kind = WHOLE if decimals == 0 else f"rounded to {decimals} decimal{'s' * (decimals > 1)}"
            return kind, math.sqrt(columns / 6) * 10.0**-decimals
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        if torch.equal(sample.to(dtype).double(), sample):
            varying = sample[:, (sample != sample[0]).any(0)]  # what is constant does not move
            spacing = torch.finfo(dtype).eps * 2.0 ** varying.abs().clamp_min(1e-30).log2().floor()
            moved = (spacing.square().where(varying != 0, 0.0).sum(1) / 6).mean().sqrt()
            return f"rounded to {str(dtype).removeprefix('torch.')}", float(moved)
    return None


def _stay_apart(rows: Tensor, rounded_rows: Tensor) -> bool:
    """Return whether most distinct rows stay distinct when they are rounded, as those do that have been before."""
    return 2 * len(torch.unique(rounded_rows, dim=0)) > len(torch.unique(rows, dim=0))


def _count(neighbours: Neighbours, k: int, applies: Callable[[Tensor, Tensor], Tensor]) -> tuple[int, int]:
    """Return for how many rows something applies to one of the k nearest and the next, and the number of all rows."""
    distances = _valid(neighbours)[:, :k]
    counts = [int(applies(block[:, :-1], block[:, 1:]).any(1).sum()) for block in distances.split(BLOCK)]
    return sum(counts), len(distances)


def _asked(neighbours: Neighbours) -> str:
    """Return what to add to the number of rows where they are only those that were asked."""
    return "" if neighbours.queries is None else " asked"


def _valid(neighbours: Neighbours) -> Tensor:
    """Return the distances of the valid points of all replicates, `(m, k)`, ascending."""
    return neighbours.distances[neighbours.valid]
