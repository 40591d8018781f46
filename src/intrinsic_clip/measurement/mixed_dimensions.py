"""Find rows of two different local dimensions, of which one number describes neither."""

from typing import NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.dimension import Neighbours

NEAR, FAR = 10, 64  # neighbours: nearer ones give the dimensions, those from here to there the groups
LEAST_FAR = 40
LEAST_ROWS = 200
LEAST_SHARE = 0.1  # of the rows, in either group
LEAST_EXPLAINED = (
    0.7  # of the variance of log dimensions by the groups; of one Gaussian 0.64, of a flat density 0.75
)
LEAST_RATIO = 1.5  # of the groups' dimensions by the nearer neighbours


class Mixture(NamedTuple):
    """Rows in two groups of different dimension.

    Attributes:
        share: of the rows, in the group of fewer dimensions.
        low, high: dimensions of the two groups by their nearest neighbours.
    """

    share: float
    low: float
    high: float


def mixture(neighbours: Neighbours) -> Mixture | None:
    """Return the two groups that rows fall into by their local dimension; None where they do not.

    The groups are cut by distances to the neighbours 10 to 64, where the variance between them is largest (Otsu, *A
    threshold selection method from gray-level histograms*, IEEE Transactions on Systems, Man, and Cybernetics 9, 1979),
    and their dimensions follow from the 10 nearest. With uniform density the two are independent, so that groups that
    chance, curvature or the edges of clusters have cut have about the same dimension.

    Args:
        neighbours: of one set of rows, `(n, k)`.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import nearest_neighbours
        >>> from intrinsic_clip.measurement.mixed_dimensions import mixture
        >>> rows = torch.randn(1000, 8, generator=torch.Generator().manual_seed(0))
        >>> mixture(nearest_neighbours(rows, 64)) is None
        True
        >>> rows[:500, 2:] = 9.0
        >>> found = mixture(nearest_neighbours(rows, 64))
        >>> round(found.share, 1), round(found.low), round(found.high)
        (0.5, 2, 7)
    """
    far = min(FAR, neighbours.k)
    distances = neighbours.distances[neighbours.valid]
    if far < LEAST_FAR or len(distances) < LEAST_ROWS:
        return None
    nearer, farther = _inverse(distances[:, :NEAR]), _inverse(distances[:, NEAR - 1 : far])
    usable = nearer.isfinite() & farther.isfinite() & (farther > 0)
    order = farther[usable].log().argsort(descending=True)  # fewest dimensions first
    nearer, logs = nearer[usable][order], farther[usable].log()[order]
    size, explained = _cut(logs)
    share = size / max(1, len(logs))
    if explained < LEAST_EXPLAINED or not LEAST_SHARE <= share <= 1 - LEAST_SHARE:
        return None
    low, high = (1 / float(part.mean()) for part in (nearer[:size], nearer[size:]))
    return Mixture(share, low, high) if high >= LEAST_RATIO * low else None


def _inverse(distances: Tensor) -> Tensor:
    """Return the mean of log(R_k / R_j) over j < k at each row, `(n,)`: an estimate of the inverse dimension."""
    logs = distances.log()
    return (logs[:, -1:] - logs[:, :-1]).mean(1)


def _cut(values: Tensor) -> tuple[int, float]:
    """Return how many of sorted values the first of two groups has, and the share of the variance between them."""
    n = len(values)
    variance = float(values.var(correction=0)) if n > 1 else 0.0
    if not variance > 0:
        return n, 0.0
    sizes = torch.arange(1, n, dtype=values.dtype, device=values.device)
    sums = values.cumsum(0)[:-1]
    between = sizes * (n - sizes) / n**2 * (sums / sizes - (values.sum() - sums) / (n - sizes)).square()
    largest = int(between.argmax())
    return largest + 1, float(between[largest]) / variance
