"""Read a column of lists in Arrow files block by block: Feather, IPC files and streams, datasets of Hugging Face."""

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.arrow_lists import ListColumn, chosen_column
from intrinsic_clip.data.formats.batched_rows import BatchedRows
from intrinsic_clip.data.formats.column_choice import ColumnChoice
from intrinsic_clip.data.formats.mapped_rows import give_back, mapped
from intrinsic_clip.errors import ConfigError, first_line

if TYPE_CHECKING:
    import pyarrow as pa

FILE_MAGIC = b"ARROW1"  # an IPC file, which Feather is too, begins with it; a stream does not
FEATHER_1 = b"FEA1"  # the first version of Feather is no Arrow file
CONTINUED = b"\xff\xff\xff\xff"  # a stream begins with it
READ = 4096  # rows of a batch that are handed on at a time


class ArrowRows(BatchedRows):
    """The lists of one column, all of one length, of one file or of several that follow one another.

    Args:
        paths: the files.
        column: of them.

    Raises:
        ConfigError: a file is damaged, or has no such column.
    """

    def __init__(self, paths: Sequence[Path], column: ListColumn) -> None:
        self.column = column
        sizes: list[int] = []
        self.places: list[tuple[Path, int]] = []  # file and number in it of each record batch
        for path in paths:
            for number, batch in enumerate(_record_batches(_mapped(path), path, column.name)):
                self.places.append((path, number))
                sizes.append(len(batch))
        super().__init__(sizes, 0, column.dtype)
        self._columns = next(self._batches(range(len(sizes))), torch.empty(0, 0)).shape[1]

    def _batches(self, groups: Sequence[int]) -> Iterator[Tensor]:
        by_file: dict[Path, list[int]] = {}
        for group in groups:
            by_file.setdefault(self.places[group][0], []).append(group)
        for path, own in by_file.items():
            numbers, pages = [self.places[group][1] for group in own], _mapped(path)
            batches = _record_batches(pages, path, self.column.name, numbers)
            for group, batch in zip(own, batches, strict=True):
                for begin in range(0, len(batch), READ):
                    part = batch.column(0).slice(begin, READ)
                    yield self.column.matrix(part, int(self.starts[group]) + begin)
                    give_back(pages)


def arrow_rows(paths: Sequence[Path], key: Key, choice: ColumnChoice) -> tuple[ArrowRows, list[str]] | None:
    """Return the rows of Arrow files whose rows are lists of floats, and notes; None for any other table.

    Args:
        paths: files of one schema, whose rows follow one another.
        key: the column of lists.
        choice: the columns to read.

    Raises:
        ConfigError: one is damaged, or the column is not there.
    """
    if not is_arrow(paths[0]):
        return None
    chosen = chosen_column(schema_of(paths[0]), key, choice)
    return None if chosen is None else (ArrowRows(paths, chosen[0]), chosen[1])


def schema_of(path: Path) -> "pa.Schema":
    """Return the schema of an Arrow file.

    Raises:
        ConfigError: it is damaged.
    """
    return _reader(_mapped(path), path).schema


def is_arrow(path: Path) -> bool:
    """Return whether a file begins as an IPC file or stream does, and not as the first version of Feather."""
    with path.open("rb") as file:
        return not file.read(len(FEATHER_1)).startswith(FEATHER_1)


def is_stream(path: Path) -> bool:
    """Return whether an Arrow file is a stream, as `datasets` writes them."""
    with path.open("rb") as file:
        return not file.read(len(FILE_MAGIC)).startswith(FILE_MAGIC)


def _mapped(path: Path) -> mmap.mmap:
    if not path.stat().st_size:
        raise ConfigError("damaged, or not an Arrow file (it is empty)")
    return mapped(path)


def _reader(pages: mmap.mmap, path: Path, column: str | None = None) -> Any:
    """Return a reader of record batches, of one column where it is named."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ConfigError(f"reading {path.suffix} needs pyarrow: pip install pyarrow") from error
    opener = pa.ipc.open_stream if is_stream(path) else pa.ipc.open_file
    file = pa.py_buffer(pages)
    try:
        reader = opener(file)
        if column is None:
            return reader
        place = reader.schema.get_field_index(column)
        if place < 0:
            raise ConfigError(f"{path.name}: has no column {column!r}, which the file before it has")
        return opener(file, options=pa.ipc.IpcReadOptions(included_fields=[place], use_threads=False))
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"damaged, or not an Arrow file ({first_line(error)})") from error


def _record_batches(
    pages: mmap.mmap, path: Path, column: str, numbers: Sequence[int] | None = None
) -> Iterator["pa.RecordBatch"]:
    """Yield record batches of a file, with one column: those of these numbers, in ascending order, or all."""
    reader = _reader(pages, path, column)
    try:
        if hasattr(reader, "get_batch"):
            for number in range(reader.num_record_batches) if numbers is None else numbers:
                yield reader.get_batch(number)
            return
        wanted = None if numbers is None else set(numbers)
        for number, batch in enumerate(reader):
            if wanted is None or number in wanted:
                yield batch
            if wanted is not None and number >= max(wanted):
                return
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"damaged, or not an Arrow file ({first_line(error)})") from error
