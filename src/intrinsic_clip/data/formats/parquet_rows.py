"""Read a .parquet file block by block, so that it need not fit into memory.

What is read is a column of lists, or columns of numbers.
"""

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.arrow_files import decoding, pyarrow_errors
from intrinsic_clip.data.formats.arrow_lists import PART
from intrinsic_clip.data.formats.arrow_numbers import Content, chosen_content
from intrinsic_clip.data.formats.batched_rows import BatchedRows
from intrinsic_clip.data.formats.column_choice import ColumnChoice
from intrinsic_clip.data.formats.mapped_rows import give_back, mapped
from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


class ParquetRows(BatchedRows):
    """The lists of one column, all of one length, or the numbers of several columns.

    Args:
        file: an open one.
        content: its columns.

    Raises:
        ConfigError: the first lists hold no numbers, or the file is damaged.
    """

    def __init__(self, file: "ParquetFile", content: Content) -> None:
        self.file, self.content = file, content
        super().__init__(file.sizes, content.width or None, content.dtype)

    def _batches(self, groups: Sequence[int]) -> Iterator[Tensor]:
        start = int(self.starts[groups[0]]) if len(groups) else 0
        for batch in self.file.batches(self.content.names, groups, self.content.part):
            yield self.content.matrix(batch, start)
            start += len(batch)


class ParquetFile:
    """An open file whose pages do not stay in memory.

    Args:
        path: of it.

    Attributes:
        sizes: rows of each row group.

    Raises:
        ConfigError: it is damaged.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._file, self._pages = _opened(path)
        self.schema: pa.Schema = self._file.schema_arrow
        metadata = self._file.metadata
        self.sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]

    def batches(
        self, names: Sequence[str], groups: Sequence[int] | None = None, rows: int = PART
    ) -> Iterator["pa.RecordBatch"]:
        """Yield the rows of some columns in some row groups, or in all, so many at a time."""
        chosen = range(len(self.sizes)) if groups is None else groups
        with decoding("a .parquet"):
            for batch in self._file.iter_batches(rows, list(chosen), list(names), use_threads=False):
                if len(batch):
                    yield batch
                    give_back(self._pages)


def parquet_rows(path: Path, key: Key, choice: ColumnChoice) -> tuple[ParquetRows, list[str]] | None:
    """Return the rows of a .parquet file, lists of floats or numbers in columns, and notes.

    Args:
        path: the file.
        key: the column of lists.
        choice: the columns to read.

    Returns:
        None where it is to be read whole.

    Raises:
        ConfigError: it is damaged, or no column can be chosen; see `chosen_content`.
    """
    file = ParquetFile(path)
    chosen = chosen_content(str(path), file.schema, key, choice, file.batches)
    return None if chosen is None else (ParquetRows(file, chosen[0]), chosen[1])


def _opened(path: Path) -> tuple["pq.ParquetFile", mmap.mmap]:
    """Return a file, and its pages in memory."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigError("reading .parquet needs pyarrow: pip install pyarrow") from error
    with pyarrow_errors("a .parquet"):
        pages = mapped(path)
        return pq.ParquetFile(pa.BufferReader(pa.py_buffer(pages))), pages
