"""The number of canonical correlations that permuted pairs do not reach."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows, whole_number
from intrinsic_clip.metrics.alignment import as_same_rows, each_replicate
from intrinsic_clip.seeding import seeded

PERMUTATIONS = 99
LEVEL = 0.05
SAME = 1e-6  # singular values this small, relative to the largest, are rounding
FEW = 100  # pairs; more have orders enough for any level
TIED = 100.0  # resolutions of their type: correlations this near are equal, as those of codes often are


@dataclass(frozen=True)
class CanonicalRank:
    """How many canonical correlations are larger than chance.

    Attributes:
        rank: their number, `(*R,)` float64; NaN where there is no test.
        correlations: all of them, descending, `(*R, m)`; NaN beyond those that exist.
        threshold: which they have to exceed, `(*R,)`.
        reason: why a rank is NaN, else None.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import canonical_rank
        >>> canonical_rank(torch.eye(6), torch.eye(6)).reason
        '6 pairs are too few: any 5 and 5 columns of so many rows correlate perfectly'
    """

    rank: Tensor
    correlations: Tensor
    threshold: Tensor
    reason: str | None = None


@torch.no_grad()
def canonical_rank(
    x: Rows, y: Rows, permutations: int = PERMUTATIONS, level: float = LEVEL, seed: int = 0
) -> CanonicalRank:
    """Count the canonical correlations of x and y that exceed what the largest one of permuted pairs reaches.

    Hotelling, *Relations between two sets of variates*, Biometrika 28, 1936: the singular values of Uₓᵀ U_y, U being
    an orthonormal basis of the centred columns. Where all is Gaussian and linear they number the shared latents.

    Args:
        x, y: `(*R, n, p_x)` and `(*R, n, p_y)`; row i of x and row i of y are a pair.
        permutations: how many times pairs are shuffled.
        level: chance that the threshold is exceeded where pairs are independent; 1 / (permutations + 1) at least.
        seed: of the permutations, which all replicates share.

    Raises:
        ValueError: x and y differ in replicates or rows, or are empty, there is no permutation, or level is not
            between 0 and 1.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import canonical_rank
        >>> _ = torch.manual_seed(0)
        >>> z = torch.randn(1000, 2)  # shared
        >>> x, y = (torch.cat([z, torch.randn(1000, 3)], 1) @ torch.randn(5, 8) for _ in range(2))
        >>> int(canonical_rank(x, y).rank)
        2
    """
    x, y = as_same_rows(x, y)
    bases = [(_orthonormal(x_r), _orthonormal(y_r)) for x_r, y_r in each_replicate(x, y)]
    return collected(bases, list(x.shape[:-2]), permutations, level, seed)


def collected(
    bases: list[tuple[Tensor, Tensor]],
    replicates: list[int],
    permutations: int,
    level: float,
    seed: int,
    regularised: bool = False,
) -> CanonicalRank:
    """Test each replicate's correlations, the singular values of the bases' product.

    Args:
        bases: of both sides for each replicate, `(n, q)`; NaN where a side is not finite.
        replicates: the replicates' axes.
        permutations, level, seed: as for `canonical_rank`.
        regularised: whether the bases are shrunk, so that as many columns as rows need not correlate perfectly.

    Raises:
        ValueError: there is no permutation, or level is not between 0 and 1.
    """
    permutations = whole_number("permutations", permutations, 1)
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    most = max(min(x.shape[1], y.shape[1]) for x, y in bases)
    rank, threshold = torch.full((2, len(bases)), math.nan, dtype=torch.float64)
    correlations = torch.full((len(bases), most), math.nan, dtype=torch.float64)
    reason = None
    for r, (x, y) in enumerate(bases):
        why = _untestable(x, y, level, regularised)
        if why is not None:
            reason = why
            continue
        values, least = _tested(x, y, permutations, level, seed)
        correlations[r, : len(values)] = values
        tied = TIED * torch.finfo(values.dtype).eps  # a correlation is at most 1
        rank[r], threshold[r] = (values > least + tied).sum(), least
    return CanonicalRank(
        rank.reshape(replicates),
        correlations.reshape(*replicates, most),
        threshold.reshape(replicates),
        reason,
    )


def _untestable(x: Tensor, y: Tensor, level: float, regularised: bool) -> str | None:
    """Return why the correlations of two bases have no test, else None."""
    n = len(x)
    if not bool(x.isfinite().all() and y.isfinite().all()):
        return "some values are NaN or infinite"
    if 0 in (x.shape[1], y.shape[1]):
        return "every column of a view is constant"
    if not regularised and x.shape[1] + y.shape[1] >= n:
        return (
            f"{n:,} pairs are too few: any {x.shape[1]} and {y.shape[1]} columns of so many rows correlate "
            "perfectly"
        )
    if n < FEW and math.factorial(n) * level < 1:
        return f"{n} pairs are too few: with {math.factorial(n)} orders nothing is rarer than {level:g}"
    return None


def _tested(x: Tensor, y: Tensor, permutations: int, level: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the singular values of xᵀ y, and the quantile of the largest one of shuffled pairs."""
    generator = seeded(seed)
    largest = torch.stack(
        [
            torch.linalg.svdvals(x.T @ y[torch.randperm(len(y), generator=generator).to(y.device)]).max()
            for _ in range(permutations)
        ]
    )
    return torch.linalg.svdvals(x.T @ y), _exceeded_at_level(largest, level)


def _exceeded_at_level(largest: Tensor, level: float) -> Tensor:
    """Return the value that one more such draw exceeds with a chance of `level`, or the largest where that is less.

    One more draw exceeds the m-th smallest of N with the chance 1 − m / (N + 1); the quantile of the N alone, with a
    larger one: of 19 the one of 95 % with 9 %.
    """
    place = math.ceil((1 - level) * (len(largest) + 1) - 1e-9)
    return largest.sort().values[min(max(place, 1), len(largest)) - 1]


def _orthonormal(rows: Tensor) -> Tensor:
    """Return an orthonormal basis of the centred columns; NaN if a value is not finite."""
    rows = rows.double() - rows.double().mean(0)
    if not bool(rows.isfinite().all()):
        return torch.full_like(rows, math.nan)
    left, strengths, _ = torch.linalg.svd(rows, full_matrices=False)
    return left[:, strengths > SAME * strengths[0]]
