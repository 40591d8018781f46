"""Read a column of lists in a .parquet file block by block, so that it need not fit into memory."""

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.arrow_lists import ListColumn, chosen_column
from intrinsic_clip.data.formats.batched_rows import BatchedRows
from intrinsic_clip.data.formats.column_choice import ColumnChoice
from intrinsic_clip.data.formats.mapped_rows import give_back, mapped
from intrinsic_clip.errors import ConfigError, first_line

if TYPE_CHECKING:
    import pyarrow.parquet as pq

READ = 4096  # rows that pyarrow decodes at a time


class ParquetRows(BatchedRows):
    """The lists of one column, all of one length.

    Args:
        path: the file.
        column: of it.

    Raises:
        ConfigError: the first lists hold no numbers, or the file is damaged.
    """

    def __init__(self, path: Path, column: ListColumn) -> None:
        self.column = column
        self.file, self.pages = _opened(path)
        groups = range(self.file.num_row_groups)
        sizes = [self.file.metadata.row_group(group).num_rows for group in groups]
        super().__init__(sizes, 0, column.dtype)
        self._columns = next(self._batches(groups), torch.empty(0, 0)).shape[1]

    def _batches(self, groups: Sequence[int]) -> Iterator[Tensor]:
        start = int(self.starts[groups[0]]) if len(groups) else 0
        try:
            for batch in self.file.iter_batches(READ, list(groups), [self.column.name], use_threads=False):
                if len(batch):
                    yield self.column.matrix(batch.column(0), start)
                    give_back(self.pages)
                start += len(batch)
        except (OSError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"damaged, or not a .parquet file ({first_line(error)})") from error


def parquet_rows(path: Path, key: Key, choice: ColumnChoice) -> tuple[ParquetRows, list[str]] | None:
    """Return the rows of a .parquet file whose rows are lists of floats, and notes; None for any other table.

    Args:
        path: the file.
        key: the column of lists.
        choice: the columns to read.

    Raises:
        ConfigError: it is damaged, or the column is not there.
    """
    chosen = chosen_column(_opened(path)[0].schema_arrow, key, choice)
    return None if chosen is None else (ParquetRows(path, chosen[0]), chosen[1])


def _opened(path: Path) -> tuple["pq.ParquetFile", mmap.mmap]:
    """Return a file, and its pages in memory."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigError("reading .parquet needs pyarrow: pip install pyarrow") from error
    try:
        pages = mapped(path)
        return pq.ParquetFile(pa.BufferReader(pa.py_buffer(pages))), pages
    except FileNotFoundError:
        raise
    except (ValueError, OSError) as error:
        raise ConfigError(f"damaged, or not a .parquet file ({first_line(error)})") from error
