"""Read Arrow files block by block: Feather, IPC files and streams, data sets of Hugging Face.

What is read is a column of lists, or columns of numbers.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.arrow_files import is_arrow, mapped_arrow, record_batches, schema_of
from intrinsic_clip.data.formats.arrow_numbers import Content, chosen_content
from intrinsic_clip.data.formats.batched_rows import BatchedRows
from intrinsic_clip.data.formats.column_choice import ColumnChoice
from intrinsic_clip.data.formats.mapped_rows import give_back

if TYPE_CHECKING:
    import pyarrow as pa


class ArrowRows(BatchedRows):
    """The lists of one column, all of one length, or the numbers of several columns.

    Args:
        paths: one file, or several that follow one another.
        content: their columns.

    Raises:
        ConfigError: a file is damaged, or has no such column.
    """

    def __init__(self, paths: Sequence[Path], content: Content) -> None:
        self.content = content
        sizes: list[int] = []
        self.places: list[tuple[Path, int]] = []  # file and number in it of each record batch
        for path in paths:
            for number, batch in enumerate(record_batches(mapped_arrow(path), path, content.names[:1])):
                self.places.append((path, number))
                sizes.append(len(batch))
        super().__init__(sizes, content.width or None, content.dtype)

    def _batches(self, groups: Sequence[int]) -> Iterator[Tensor]:
        by_file: dict[Path, list[int]] = {}
        for group in groups:
            by_file.setdefault(self.places[group][0], []).append(group)
        for path, own in by_file.items():
            numbers, pages = [self.places[group][1] for group in own], mapped_arrow(path)
            batches = record_batches(pages, path, self.content.names, numbers)
            for group, batch in zip(own, batches, strict=True):
                for begin in range(0, len(batch), self.content.part):
                    part = batch.slice(begin, self.content.part)
                    yield self.content.matrix(part, int(self.starts[group]) + begin)
                    give_back(pages)


def all_batches(paths: Sequence[Path], names: Sequence[str]) -> Iterator["pa.RecordBatch"]:
    """Yield the rows of some columns in files that follow one another."""
    for path in paths:
        pages = mapped_arrow(path)
        for batch in record_batches(pages, path, names):
            yield batch
            give_back(pages)


def arrow_rows(path: Path, key: Key, choice: ColumnChoice) -> tuple[ArrowRows, list[str]] | None:
    """Return the rows of an Arrow file, lists of floats or numbers in columns, and notes.

    Args:
        path: the file.
        key: the column of lists.
        choice: the columns to read.

    Returns:
        None where it is to be read whole.

    Raises:
        ConfigError: it is damaged, or no column can be chosen; see `chosen_content`.
    """
    if not is_arrow(path):
        return None

    chosen = chosen_content(str(path), schema_of(path), key, choice, partial(all_batches, [path]))
    return None if chosen is None else (ArrowRows([path], chosen[0]), chosen[1])
