"""Information imbalance: how well the distances in one view predict those in the other."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows
from intrinsic_clip.dimension.scaling import scale_of
from intrinsic_clip.metrics.alignment import as_same_rows, each_replicate
from intrinsic_clip.metrics.row_blocks import row_blocks

TIED = 1e-9  # relative difference of squared distances that is rounding
MOST_TIED = 0.1  # of the rows


class InformationImbalance(NamedTuple):
    """Information imbalance in both directions, `(*R,)` float64 each; about 0: all is told, about 1: nothing.

    Attributes:
        x_to_y: Δ(x → y), small where neighbours in x are neighbours in y.
        y_to_x: Δ(y → x).
        reason: why a value is NaN, else None.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import information_imbalance
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(500, 2)
        >>> imbalance = information_imbalance(x, x[:, :1])  # x tells its first column, which does not tell x
        >>> [round(float(value), 1) for value in imbalance[:2]]
        [0.1, 0.5]
    """

    x_to_y: Tensor
    y_to_x: Tensor
    reason: str | None = None


@torch.no_grad()
def information_imbalance(x: Rows, y: Rows) -> InformationImbalance:
    """Return 2/n times the mean rank in one view of the nearest neighbour in the other, both ways.

    Glielmo, Zeni, Cheng, Csányi, Laio, *Ranking the information content of distance measures*, PNAS Nexus 1, 2022:
    Δ(x → y) = 2/n · mean of r_y(i, j) over the rows i, j being the nearest neighbour of i in x and r_y its rank among
    the n − 1 others by the distance to i in y, 1 being the nearest. Euclidean distances. Equal distances in y share
    the mean of the ranks they fill. A row whose nearest neighbour in x is not unique is left out.

    Args:
        x, y: `(*R, n, p_x)` and `(*R, n, p_y)`; row i of x and row i of y are a pair.

    Returns:
        Values between 2/n and 2 (n − 1)/n, about 1 for independent views; NaN with a reason where values are not
        finite or over a tenth of the rows have tied nearest neighbours.

    Raises:
        ValueError: x and y differ in replicates or rows, or there are fewer than 3 rows.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import information_imbalance
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(500, 2)
        >>> [round(float(value), 3) for value in information_imbalance(x, x)[:2]]  # 2 / n
        [0.004, 0.004]
        >>> [round(float(value), 0) for value in information_imbalance(x, torch.randn(500, 2))[:2]]
        [1.0, 1.0]
    """
    x, y = as_same_rows(x, y)
    *replicates, n, _ = x.shape
    if n < 3:
        raise ValueError(f"ranks of neighbours need at least 3 rows, got {n}")
    values = x.new_full((2, math.prod(replicates)), math.nan, dtype=torch.float64)
    reason = None
    for r, (x_r, y_r) in enumerate(each_replicate(x, y)):
        if not (x_r.isfinite().all() and y_r.isfinite().all()):
            reason = "some values are NaN or infinite"
            continue
        ranks, ties = _ranks(x_r.double(), y_r.double())
        for direction, name in enumerate("xy"):
            tied = float(ties[direction].double().mean())
            if tied > MOST_TIED:
                reason = f"{100 * tied:.0f} % of the rows have several nearest neighbours in {name}"
            else:
                values[direction, r] = 2 / n * ranks[direction][~ties[direction]].mean()
    x_to_y, y_to_x = values.reshape(2, *replicates)
    return InformationImbalance(x_to_y, y_to_x, reason)


def _ranks(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the ranks in y of nearest neighbours in x and vice versa, and where these are tied, `(2, n)` each."""
    n = len(x)
    ranks = x.new_empty(2, n)
    ties = torch.empty(2, n, dtype=torch.bool, device=x.device)
    sides = [_centred(side) for side in (x, y)]
    for rows in row_blocks(n, n, x.device):
        squares = [_squares(side, rows) for side in sides]
        for direction, (own, other) in enumerate((squares, squares[::-1])):
            nearest = own.topk(2, dim=1, largest=False)
            ties[direction, rows] = nearest.values[:, 1] <= nearest.values[:, 0] * (1 + TIED)
            reached = other.gather(1, nearest.indices[:, :1])
            closer = (other < reached * (1 - TIED)).sum(1)
            alike = (other <= reached * (1 + TIED)).sum(1) - closer
            ranks[direction, rows] = closer + (alike + 1).double() / 2
    return ranks, ties


def _centred(rows: Tensor) -> Tensor:
    rows = rows / scale_of(rows)
    return rows - rows.mean(0)  # so that squared distances lose few digits


def _squares(points: Tensor, rows: Tensor) -> Tensor:
    """Return squared distances of some rows to all, infinite to themselves, `(b, n)`."""
    squares = torch.cdist(points[rows], points).square_()
    squares[torch.arange(len(rows), device=points.device), rows] = math.inf
    return squares
