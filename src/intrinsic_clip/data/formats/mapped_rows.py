"""Rows of a memory-mapped file, which are not kept in memory once they were read."""

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.dimension.row_source import TensorRows


class MappedRows(TensorRows):
    """Rows of an array that lies in a file; a `RowSource` of `intrinsic_clip.dimension`.

    Pages that a pass has read would count as memory of the process until the system needs it for something else.

    Args:
        array: `(n, d)`, of a floating-point type; nothing may be written into it.
        dtype: of the numbers, where NumPy has no such type and the array is one of as many bits.
    """

    def __init__(self, array: np.memmap[Any, Any], dtype: torch.dtype | None = None) -> None:
        rows = torch.from_numpy(array)
        super().__init__(rows if dtype is None else rows.view(dtype))
        self._pages: mmap.mmap | None = getattr(array, "_mmap", None)

    def blocks(self, size: int) -> Iterator[tuple[int, Tensor]]:
        """Yield all rows in order, and give the pages of those before back to the system."""
        for start, block in super().blocks(size):
            yield start, block
            if self._pages is not None and hasattr(mmap, "MADV_DONTNEED"):
                self._pages.madvise(mmap.MADV_DONTNEED)
