"""Keep the numbers of a compressed file in a temporary one, so that several passes over its rows decode it once."""

from collections.abc import Iterator
from contextlib import suppress
from typing import IO

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.data.formats.batched_rows import BatchedRows
from intrinsic_clip.data.formats.decisions import print_decisions
from intrinsic_clip.data.formats.mapped_rows import MappedRows
from intrinsic_clip.data.formats.number_file import number_file
from intrinsic_clip.dimension.row_source import RowSource
from intrinsic_clip.errors import ConfigError, first_line


def unpacked(source: RowSource, name: str) -> RowSource:
    """Return rows that are decoded in the first pass over them and not again; rows that are fast to read as they are.

    Args:
        source: the rows.
        name: of their file, under which is printed what is decided.
    """
    return UnpackedRows(source, name) if isinstance(source, BatchedRows) and source.packed else source


class UnpackedRows:
    """Rows that the first pass writes to a temporary file, which later passes read; a `RowSource`.

    Where the disk has no room for the numbers, a note says so, and every pass decodes the file.

    Args:
        packed: rows that take long to decode.
        name: of their file.
    """

    def __init__(self, packed: BatchedRows, name: str) -> None:
        self.name, self.ids = name, packed.ids
        self.shape, self.dtype = packed.shape, packed.dtype
        self._rows: RowSource = packed  # which is closed once its numbers are in the temporary file
        self._is_settled = False  # which of the two are read from now on
        self._is_writing = False

    def blocks(self, size: int) -> Iterator[tuple[int, Tensor]]:
        """Yield all rows in order; the first time, write them to the temporary file too."""
        if self._is_settled or self._is_writing:
            yield from self._rows.blocks(size)
            return
        self._is_writing = True
        try:
            yield from self._written(size)
        finally:
            self._is_writing = False

    def _written(self, size: int) -> Iterator[tuple[int, Tensor]]:
        """Yield all rows; what was written of a pass that ends early is gone."""
        file = self._open()
        for start, block in self._rows.blocks(size):
            file = self._write(file, block)
            yield start, block
        if file is not None:
            n, d = self.shape
            numbers = np.memmap(file, np.uint8, "c", shape=(n, d * self.dtype.itemsize))
            self._rows = MappedRows(numbers, self.dtype)
        self._is_settled = True

    def take(self, rows: Tensor) -> Tensor:
        """Return the rows of these numbers."""
        return self._rows.take(rows)

    def _open(self) -> IO[bytes] | None:
        n, d = self.shape
        try:
            return number_file(self.name, n * d * self.dtype.itemsize)
        except (ConfigError, OSError) as error:
            self._say_why(error)
            return None

    def _write(self, file: IO[bytes] | None, block: Tensor) -> IO[bytes] | None:
        """Write a block; return the file, or None once it has no room."""
        if file is None:
            return None
        try:
            file.write(block.contiguous().view(torch.uint8).numpy().data)
            file.flush()  # so that all that does not fit is found here
            return file
        except OSError as error:
            with suppress(OSError):  # of what its buffer still holds
                file.close()
            self._say_why(error)
            return None

    def _say_why(self, error: Exception) -> None:
        print_decisions(self.name, [f"is decoded anew in every pass: {first_line(error)}"])
