"""Rows that need not be in memory: a tensor, a memory-mapped file, or a file that is read block by block."""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor


class RowSource(Protocol):
    """A matrix of rows that is read block by block, in its own type.

    Attributes:
        shape: rows and columns.
        dtype: floating-point type of the numbers.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """Return the number of rows and of columns."""

    @property
    def dtype(self) -> torch.dtype:
        """Return the floating-point type of the numbers."""

    def blocks(self, size: int) -> Iterator[tuple[int, Tensor]]:
        """Yield all rows in order, as the number of a block's first row and the block, of at most `size` rows."""

    def take(self, rows: Tensor) -> Tensor:
        """Return the rows of these numbers, in the order given."""


class TensorRows:
    """Rows of a tensor, which may lie in a memory-mapped file.

    Args:
        points: `(n, d)`, floating point.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension.row_source import TensorRows
        >>> rows = TensorRows(torch.arange(6.0).reshape(3, 2))
        >>> [(start, len(block)) for start, block in rows.blocks(2)]
        [(0, 2), (2, 1)]
    """

    def __init__(self, points: Tensor) -> None:
        self.points = points

    @property
    def shape(self) -> tuple[int, int]:
        """Return the number of rows and of columns."""
        return self.points.shape[0], self.points.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of the numbers."""
        return self.points.dtype

    def blocks(self, size: int) -> Iterator[tuple[int, Tensor]]:
        """Yield all rows in order."""
        for start in range(0, len(self.points), size):
            yield start, self.points[start : start + size]

    def take(self, rows: Tensor) -> Tensor:
        """Return the rows of these numbers."""
        return self.points[rows.to(self.points.device)]


def finite_rows(source: RowSource) -> Tensor:
    """Return which rows hold neither NaN nor infinity, `(n,)`, after one pass over them.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension.row_source import TensorRows, finite_rows
        >>> finite_rows(TensorRows(torch.tensor([[1.0], [torch.nan]])))
        tensor([ True, False])
    """
    return torch.cat([block.isfinite().all(1) for _, block in source.blocks(8192)])
