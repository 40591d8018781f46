"""Find the rows that a rotation of one model onto the other leaves farthest apart."""

from collections.abc import Iterable
from typing import TypeAlias

import torch
from torch import Tensor

from intrinsic_clip.metrics.procrustes import Turn

Block: TypeAlias = tuple[Tensor, Tensor, Tensor]  # numbers of rows, and these rows in both models


def farthest(turn: Turn, blocks: Iterable[Block], most: int) -> list[tuple[int, float, Tensor, Tensor]]:
    """Return the rows that are farthest from their turned partners, the farthest first.

    Args:
        turn: of the second model onto the first.
        blocks: all rows.
        most: rows to return.

    Returns:
        Number, squared distance, and the row in both models, of each.
    """
    numbers, distances = torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.float64)
    one = other = torch.empty(0)
    for rows, first, second in blocks:
        apart = torch.cat([distances, turn.distances(first, second)])
        numbers = torch.cat([numbers, rows])
        one, other = (
            torch.cat([held, new]) if len(held) else new for held, new in ((one, first), (other, second))
        )
        kept = apart.argsort(descending=True, stable=True)[:most]
        numbers, distances, one, other = numbers[kept], apart[kept], one[kept], other[kept]
    return list(zip(numbers.tolist(), distances.tolist(), one, other, strict=True))
