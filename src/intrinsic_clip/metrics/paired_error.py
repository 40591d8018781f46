"""Standard errors of recall, and of differences in recall, that the same held-out rows show.

Both directions of a pair, and all rows of a group, are found or missed together, so that the rows of a cluster count as
one draw: the error is that of a mean over clusters (for pairs alone, the standard deviation over pairs / √n).

A few misses, or hits, show little of the spread, and none at all where there is not one. Where fewer than ten draws are
missed or found, the error of recall is no smaller than with two more of each (Agresti and Coull, *Approximate is better
than "exact" for interval estimation of binomial proportions*, The American Statistician 52, 1998). With 0.5 to 5 misses
expected among 40 to 500 draws, recall ± 1.96 errors held the truth in 40 to 92 of 100 samples without this, and in 92
to 100 with it. Differences are left alone: rows that two forms find alike show that the forms are alike.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.metrics.counterparts import Counterparts, linked

FEWEST = 10  # clusters that show a spread
FEW = 10  # draws found or missed that show their spread
FURTHER = 2  # draws found, and as many missed, besides those seen


class Found(NamedTuple):
    """Hits of each query among the k best, for K values of k: `(m_x, K)` and `(m_y, K)`."""

    x_to_y: Tensor
    y_to_x: Tensor

    def minus(self, other: "Found") -> "Found":
        """Return what these find more than others, query by query."""
        return Found(self.x_to_y - other.x_to_y, self.y_to_x - other.y_to_x)


class Clusters(NamedTuple):
    """The cluster of each query of x and of y, numbers from 0, `(m_x,)` and `(m_y,)`."""

    x: Tensor
    y: Tensor

    @property
    def alone(self) -> bool:
        """Return whether each query is a draw of its own among those of its side."""
        return all(len(side.unique()) == len(side) for side in self)


class MeanError(NamedTuple):
    """A mean over both directions and its standard error, `(K,)` each."""

    value: Tensor
    standard_error: Tensor


def clusters(n: int, both: Counterparts | None, fixed_classes: bool = False) -> Clusters:
    """Return which queries hang together: pairs, or all rows that are linked by right answers.

    Where these are fewer than ten, as with two classes, each query is a draw of its own: so few show no spread.

    Args:
        n: pairs, where no row repeats.
        both: the right answers where rows repeat.
        fixed_classes: y are classes that other rows would have too, so that each row of x is a draw of its own.
    """
    if both is None:
        own = torch.arange(n)
        return Clusters(own, own)
    component = linked(both.of_x.cpu(), both.of_y.cpu(), len(both.x), len(both.y))
    if fixed_classes or int(component.max()) + 1 < FEWEST:
        own = torch.arange(len(both.x))
        return Clusters(own, torch.arange(len(both.y)) + len(own))
    return Clusters(component[: len(both.x)], component[len(both.x) :])


def mean_error(found: Found, of: Clusters) -> MeanError:
    """Return the mean of both directions' means, and its standard error over clusters.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics.paired_error import Found, clusters, mean_error
        >>> hit = torch.tensor([[1.0], [0.0], [1.0], [1.0]])
        >>> mean = mean_error(Found(hit, hit), clusters(4, None))
        >>> float(mean.value), float(mean.standard_error)  # of 4 draws: √(0.25 / 4)
        (0.75, 0.25)
    """
    count = int(max(of.x.max(), of.y.max())) + 1
    width = found.x_to_y.shape[-1]
    parts = found.x_to_y.new_zeros(count, width, dtype=torch.float64)
    value = parts.new_zeros(width)
    for rows, cluster in ((found.x_to_y.double(), of.x), (found.y_to_x.double(), of.y)):
        mean = rows.mean(0)
        value += mean / 2
        parts.index_add_(0, cluster.to(rows.device), (rows - mean) / (2 * len(rows)))
    occupied = len(torch.cat([of.x, of.y]).unique())
    spread = parts.square().sum(0) * occupied / max(1, occupied - 1)
    return MeanError(value, spread.sqrt() if occupied > 1 else torch.full_like(value, torch.nan))


def recall_error(found: Found, of: Clusters) -> MeanError:
    """Return recall, the mean of both directions, and its standard error, which allows for few misses or hits.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics.paired_error import Found, clusters, recall_error
        >>> hit = torch.ones(100, 1)
        >>> recall = recall_error(Found(hit, hit), clusters(100, None))
        >>> float(recall.value), round(float(recall.standard_error), 3)
        (1.0, 0.013)
    """
    value, error = mean_error(found, of)
    return MeanError(value, _of_few(value, error, len(torch.cat([of.x, of.y]).unique())))


def _of_few(share: Tensor, error: Tensor, draws: int) -> Tensor:
    """Return errors of shares, `(K,)`; where few draws are found or missed, at least that with further ones."""
    total = draws + 2 * FURTHER
    squares = error.square() * draws * (draws - 1) + draws * share.square() + FURTHER
    mean = (draws * share + FURTHER) / total
    further = ((squares / total - mean.square()) / total).sqrt()
    few = draws * torch.minimum(share, 1 - share) < FEW
    return error.maximum(further).where(few, error)


def way_error(hits: Tensor, cluster: Tensor) -> Tensor:
    """Return the standard error of recall in one direction, `(K,)`: binomial, or over clusters of several queries.

    It allows for few misses or hits as `recall_error` does.

    Args:
        hits: of each query, `(m, K)`.
        cluster: of each query, `(m,)`.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics.paired_error import way_error
        >>> hits = torch.tensor([[1.0], [1.0], [0.0], [0.0]]).repeat(25, 1)
        >>> [round(float(way_error(hits, torch.arange(100) // size)), 3) for size in (1, 2)]
        [0.05, 0.071]
    """
    if len(cluster.unique()) < len(cluster):
        return recall_error(Found(hits, hits), Clusters(cluster, cluster)).standard_error
    share = shares(hits)
    return _of_few(share, (share * (1 - share) / len(hits)).sqrt(), len(hits))


def shares(hits: Tensor) -> Tensor:
    """Return the recall of hits `(m, K)`, `(K,)`: column by column, so that each sum is the one of `top_matching`."""
    return torch.stack([column.mean(-1) for column in hits.mT.contiguous()])
