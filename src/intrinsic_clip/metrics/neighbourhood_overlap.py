"""The share of nearest neighbours that two representations of the same rows agree on."""

import math

import torch
from torch import Tensor

from intrinsic_clip.dimension import nearest_neighbours
from intrinsic_clip.dimension.arrays import Rows
from intrinsic_clip.metrics.alignment import as_same_rows, without_incomplete


@torch.no_grad()
def neighbourhood_overlap(x: Rows, y: Rows, k: int = 10) -> Tensor:
    """Return for each row the share of its k nearest neighbours in x that are among the k nearest in y, `(*R, n)`.

    Euclidean distances; those of rows of length 1 order neighbours as cosines do. Independent representations have
    k / (n − 1) on average. Of neighbours at one distance, those are taken that a search meets first. Rows that hold NaN
    or infinity on either side are left out of both searches, with a warning.

    Args:
        x, y: `(*R, n, d_x)` and `(*R, n, d_y)`; row i of x and row i of y show the same thing.
        k: neighbours of each row, the row itself not counted.

    Returns:
        NaN at rows that are not finite or repeat an earlier one on either side, which have no neighbours of their
        own, and everywhere where fewer than k other rows are left.

    Raises:
        ValueError: x and y differ in replicates or rows, or k < 1.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import neighbourhood_overlap
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(500, 3)
        >>> float(neighbourhood_overlap(x, 2 * x + 1).mean())
        1.0
        >>> round(float(neighbourhood_overlap(x, torch.randn(500, 3)).mean()), 2)  # 10 / 499
        0.02
    """
    # A row that one side lacks would be a neighbour on the other.
    x, y = without_incomplete(*as_same_rows(x, y))
    first, second = nearest_neighbours(x, k), nearest_neighbours(y, k)
    agreed = torch.stack(
        [(first.indices == second.indices[..., j : j + 1]).any(-1) for j in range(second.indices.shape[-1])]
    )
    valid = first.valid & second.valid
    return agreed.double().mean(0).where(valid, math.nan)
