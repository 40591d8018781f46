"""Rows that a file gives in batches: read in order block by block, and by number out of the groups that hold them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.dimension.row_source import RowSource


class BatchedRows(ABC):
    """A matrix whose rows are read in batches; a `RowSource` of `intrinsic_clip.dimension`.

    Args:
        sizes: rows of each group that can be read alone, such as a row group of a .parquet, in order.
        columns: of the matrix; None: as many as the first rows have, which a subclass must be ready to read.
        dtype: of the numbers.

    Attributes:
        ids: names of the rows in their file, for one that names them; x and y then belong together by name.
        packed: whether reading them again takes much longer than reading numbers from a file.
    """

    ids: Sequence[str | int] | None = None
    packed = True

    def __init__(self, sizes: Sequence[int], columns: int | None, dtype: torch.dtype) -> None:
        self.starts = np.cumsum([0, *sizes])
        self._dtype = dtype
        self._columns = self._first_width() if columns is None else columns

    @property
    def shape(self) -> tuple[int, int]:
        """Return the number of rows and of columns."""
        return int(self.starts[-1]), self._columns

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of the numbers."""
        return self._dtype

    @abstractmethod
    def _batches(self, groups: Sequence[int]) -> Iterator[Tensor]:
        """Yield the rows of some groups in order, a few thousand at a time."""

    def _first_width(self) -> int:
        widths = (rows.shape[1] for rows in self._batches(range(len(self.starts) - 1)))
        return next((width for width in widths if width), 0)  # rows that are all missing do not show it

    def blocks(self, size: int) -> Iterator[tuple[int, Tensor]]:
        """Yield all rows in order."""
        start, held = 0, torch.empty(0, self._columns, dtype=self._dtype)
        for rows in self._batches(range(len(self.starts) - 1)):
            held = torch.cat([held, rows]) if len(held) else rows
            while len(held) >= size:
                yield start, held[:size]
                start, held = start + size, held[size:]
        if len(held):
            yield start, held

    def take(self, rows: Tensor) -> Tensor:
        """Return the rows of these numbers; only groups that hold some are read, up to the last of them."""
        taken = torch.empty(len(rows), self._columns, dtype=self._dtype)
        ordered, order = rows.sort()
        groups = np.unique(np.searchsorted(self.starts, ordered.numpy(), "right") - 1).tolist()
        for group in groups:
            start = int(self.starts[group])
            last = int(ordered[ordered < int(self.starts[group + 1])][-1])
            for block in self._batches([group]):
                low, high = torch.searchsorted(ordered, torch.tensor([start, start + len(block)])).tolist()
                taken[order[low:high]] = block[ordered[low:high] - start]
                start += len(block)
                if start > last:
                    break
        return taken


def whole(source: RowSource) -> Tensor:
    """Return all rows of a source."""
    return torch.cat([block for _, block in source.blocks(2**16)])
