"""Read files by mapping them into memory, where they are not kept once they were read."""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.data.formats.npz_members import check_size
from intrinsic_clip.data.formats.number_types import floating
from intrinsic_clip.dimension.row_source import TensorRows

TAKEN = 512  # rows between which pages are given back: around each the system maps 64 KiB and more


class MappedRows(TensorRows):
    """Rows of an array that lies in a file; a `RowSource` of `intrinsic_clip.dimension`.

    Pages that a pass has read would count as memory of the process until the system needs it for something else.

    Args:
        array: `(n, d)`, of numbers; nothing may be written into it. Whole numbers are given as floating-point ones.
        dtype: of the numbers, where the array holds their bytes as another type; None: that of the array.
    """

    def __init__(self, array: np.memmap[Any, Any], dtype: torch.dtype | None = None) -> None:
        rows = torch.from_numpy(array)
        super().__init__(rows if dtype is None else rows.view(dtype))
        self._dtype = floating(self.points.dtype)
        self._pages: mmap.mmap | None = getattr(array, "_mmap", None)

    @property
    def dtype(self) -> torch.dtype:
        """Return the floating-point type of the rows."""
        return self._dtype

    def blocks(self, size: int) -> Iterator[tuple[int, Tensor]]:
        """Yield all rows in order, and give the pages of those before back to the system."""
        for start, block in super().blocks(size):
            yield start, block.to(self._dtype)
            give_back(self._pages)

    def take(self, rows: Tensor) -> Tensor:
        """Return the rows of these numbers, and give their pages back to the system."""
        taken = self.points.new_empty(len(rows), self.points.shape[1])
        for part, into in zip(rows.cpu().split(TAKEN), taken.split(TAKEN), strict=True):
            torch.index_select(self.points, 0, part, out=into)
            give_back(self._pages)
        return taken.to(self._dtype)


def mapped_array(path: Path, mode: Literal["r", "c"]) -> Any:
    """Map the array of an .npy into memory, whose size is compared with that of the file; an .npz is opened.

    Args:
        path: of the file.
        mode: of `numpy.load`: read alone, or copy-on-write, for PyTorch, which wants memory that it may write to.

    Raises:
        ConfigError: there is more in the file than the header claims.
        OSError: it cannot be read.
        ValueError, EOFError: it is damaged, or holds Python objects.
    """
    array = np.load(path, mmap_mode=mode, allow_pickle=False)
    if isinstance(array, np.memmap):
        check_size(array.nbytes, path.stat().st_size - array.offset)
    return array


def mapped(path: Path) -> mmap.mmap:
    """Map a file that is read alone into memory.

    Raises:
        OSError: it cannot be read.
        ValueError: it is empty.
    """
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def give_back(pages: mmap.mmap | None) -> None:
    """Give the pages of a mapped file back to the system, which reads them again when they are next wanted."""
    if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)
