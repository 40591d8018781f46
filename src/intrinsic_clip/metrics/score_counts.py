"""How many candidates score higher than the best right answer to a row, and as high, for the rows of both sides.

Products in single precision, at half the cost of double precision, settle nearly all comparisons. Those within their
rounding of a best right answer are repeated in double precision, so that the counts are the same.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.dimension.single_precision import full_single_precision
from intrinsic_clip.metrics.replicated_pairs import Counts

TILE = (512, 1024)  # rows of x and of y whose scores stay in a processor's cache
GPU_TILE = (4096, 4096)
FEW = 1 / 64  # of a tile's scores, to repeat one by one; where more are close, the whole tile is repeated
AT_ONCE = 2**22  # bytes of rows
Ways = tuple[Tensor, Tensor]  # a number for each row of x, and for each row of y


class Limits(NamedTuple):
    """Scores from `low` may be as high as the best right answer of a row, those above `high` are surely higher."""

    low: Ways
    high: Ways


class Tile(NamedTuple):
    """Some rows of x and some of y, by their numbers."""

    x: Tensor
    y: Tensor


class Compared(NamedTuple):
    """Which scores of a tile are above the high limit, and which between the limits, of their x and of their y."""

    above: Ways
    between: Ways

    @classmethod
    def of(cls, scores: Tensor, tile: Tile, limits: Limits) -> "Compared":
        """Compare the scores of a tile."""
        low, high = ((way[0][tile.x, None], way[1][tile.y]) for way in limits)
        above_x, above_y = scores > high[0], scores > high[1]
        return cls((above_x, above_y), ((scores >= low[0]) ^ above_x, (scores >= low[1]) ^ above_y))


class SingleScores(NamedTuple):
    """Both sides in single precision, in units of their longest rows, and limits that allow for its rounding."""

    x: Tensor
    y: Tensor
    limits: Limits


def score_counts(x: Tensor, y: Tensor, best: Ways, around: Ways) -> Counts:
    """Count for each row of x among all y, and each of y among all x; every score is computed once for both.

    Args:
        x, y: rows of both sides, which are queries and candidates, `(n, d)` and `(m, d)` float64.
        best: the score of the best right answer to each row of x and of y.
        around: how far apart scores of each row may be and still be equal; NaN: the row has no counts.
    """
    counts = Counts(*(torch.zeros(len(rows), dtype=torch.int64, device=x.device) for rows in (x, x, y, y)))
    limits = Limits((best[0] - around[0], best[1] - around[1]), (best[0] + around[0], best[1] + around[1]))
    single = single_scores(x, y, limits)
    for tile in _tiles(x, y):
        if single is not None and _add_single(x, y, tile, limits, single, counts):
            continue
        single = None  # the tiles to come are no different
        compared = Compared.of(x[tile.x] @ y[tile.y].mT, tile, limits)
        _add(compared.above, tile, (counts.greater_x, counts.greater_y))
        _add(compared.between, tile, (counts.ties_x, counts.ties_y))
    return counts


def single_scores(x: Tensor, y: Tensor, limits: Limits) -> SingleScores | None:
    """Return both sides in single precision; None on a GPU, and where scores are too large or not finite."""
    lengths = [torch.linalg.vector_norm(rows, dim=1) for rows in (x, y)]
    longest = [float(of.max()) for of in lengths]
    unit = longest[0] * longest[1]
    if x.is_cuda or not 0 < unit < float("inf"):
        return None
    number, terms = torch.finfo(torch.float32), x.shape[1] + 8
    error_x, error_y = (  # twice that of a sum of products of rounded factors
        terms * (number.eps * of / most + number.tiny) for of, most in zip(lengths, longest, strict=True)
    )
    low, high = (tuple(limit / unit for limit in way) for way in limits)
    return SingleScores(
        (x / longest[0]).float(),
        (y / longest[1]).float(),
        Limits(
            ((low[0] - error_x).float(), (low[1] - error_y).float()),
            ((high[0] + error_x).float(), (high[1] + error_y).float()),
        ),
    )


def _tiles(x: Tensor, y: Tensor) -> Iterator[Tile]:
    sizes = GPU_TILE if x.is_cuda else TILE
    of_x, of_y = (
        torch.arange(len(rows), device=x.device).split(size) for rows, size in zip((x, y), sizes, strict=True)
    )
    return (Tile(rows, columns) for rows in of_x for columns in of_y)


def _add(which: Ways, tile: Tile, counts: Ways) -> None:
    """Add which scores of a tile count for its rows of x, and which for those of y."""
    counts[0][tile.x] += which[0].sum(1)
    counts[1][tile.y] += which[1].sum(0)


def _add_single(
    x: Tensor, y: Tensor, tile: Tile, limits: Limits, single: SingleScores, counts: Counts
) -> bool:
    """Add the scores of a tile by single precision, and return True; or, if too many are close to a limit, False."""
    with full_single_precision(x.device):
        scores = single.x[tile.x] @ single.y[tile.y].mT
    compared = Compared.of(scores, tile, single.limits)
    close = [_places(between) for between in compared.between]
    if max(map(len, close)) > FEW * len(tile.x) * len(tile.y) + len(
        tile.x
    ):  # each row is close to its own answer
        return False
    _add(compared.above, tile, (counts.greater_x, counts.greater_y))
    size = max(16, AT_ONCE // (8 * x.shape[1]))
    for way, places in enumerate(close):
        for part in places.split(size):
            row, column = tile.x[part // len(tile.y)], tile.y[part % len(tile.y)]
            scores, query = (x[row] * y[column]).sum(-1), (row, column)[way]
            above = scores > limits.high[way][query]
            counts[2 * way].index_add_(0, query, above.long())
            counts[2 * way + 1].index_add_(0, query, ((scores >= limits.low[way][query]) & ~above).long())
    return True


def _places(which: Tensor) -> Tensor:
    """Return the places of what is true in a flattened mask; NumPy finds them ten times as fast as PyTorch."""
    return torch.from_numpy(np.flatnonzero(which.numpy()))
