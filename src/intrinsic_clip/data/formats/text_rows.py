"""Read a large text table of numbers in one pass, into a file without a name, so that it need not fit into memory.

What its columns are is decided as for tables that are read whole: columns whose first rows hold fractions are settled
by these, and all others (an index, ids, names, classes) are held whole until it is known what they are.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.column_choice import ColumnChoice
from intrinsic_clip.data.formats.column_roles import HEAD, HELD, shown_by_head
from intrinsic_clip.data.formats.decisions import print_decisions
from intrinsic_clip.data.formats.list_columns import holds_lists
from intrinsic_clip.data.formats.mapped_rows import MappedRows
from intrinsic_clip.data.formats.number_file import number_file
from intrinsic_clip.data.formats.number_tables import (
    MIXED,
    Irregular,
    checked,
    joined,
    part_of,
    read_chunks,
    recognised,
    require_width,
)
from intrinsic_clip.data.formats.table_arrays import number_columns
from intrinsic_clip.data.formats.text_dialect import Dialect
from intrinsic_clip.data.formats.text_lines import TextFile
from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 50_000  # lines: tables of fewer are read whole
NUMBER = np.dtype(np.float64)


class ChosenColumns(MappedRows):
    """Rows of some columns of an array that lies in a file.

    Args:
        array: `(n, d)`.
        columns: places of those to read.
    """

    def __init__(self, array: np.memmap, columns: Sequence[int]) -> None:
        super().__init__(array)
        self.columns = torch.tensor(columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Return the number of rows and of columns."""
        return len(self.points), len(self.columns)

    def blocks(self, size: int) -> Iterator[tuple[int, Tensor]]:
        """Yield all rows in order."""
        for start, block in super().blocks(size):
            yield start, block[:, self.columns]

    def take(self, rows: Tensor) -> Tensor:
        """Return the rows of these numbers."""
        return super().take(rows)[:, self.columns]


def text_rows(path: Path, key: Key, choice: ColumnChoice) -> tuple[MappedRows, list[str]] | None:
    """Return the rows of a text table, whose numbers lie in a temporary file, and notes.

    Args:
        path: the file.
        key: of a column of lists, which are read whole.
        choice: the columns to read.

    Returns:
        None where the file is to be read whole: few lines, columns of lists, irregular lines, many columns of whole
        numbers, and where only the reader of whole files can say what is wrong.

    Raises:
        ConfigError: the numbers do not fit on the disk, or a column is neither numbers nor can be left out.
    """
    if key.value is not None:
        return None
    try:
        file, dialect = recognised(path)
    except ConfigError:
        return None
    if file.lines is None or file.lines <= FEWEST:
        return None
    names = dialect.header or [""] * dialect.width
    places, chosen = choice.places(names)
    if not places:
        return None
    try:
        return _converted(path, _Table(file, dialect, names, places), chosen, choice)
    except Irregular as reason:
        print_decisions(str(path), [f"is read whole, since {reason}"])
        return None


def _converted(
    path: Path, table: "_Table", chosen: bool, choice: ColumnChoice
) -> tuple[MappedRows, list[str]]:
    """Convert a table, and decide which of its columns are read.

    Raises:
        Irregular: it is to be read whole.
        ConfigError: the numbers do not fit on the disk, or a column is neither numbers nor can be left out.
    """
    file, dialect = table.file, table.dialect
    assert file.lines is not None  # `text_rows` has asked
    with number_file(str(path), (file.lines - dialect.begin) * dialect.width * NUMBER.itemsize) as numbers:
        table.convert(numbers)
        columns = table.columns()
        notes = checked(file, dialect, table.rows, columns, table.ends_missing)
        if any(holds_lists(columns[place]) for place in table.places):
            raise Irregular("a column holds lists")
        kept, more = number_columns(
            columns, table.names, table.places, dialect.header is not None, chosen, choice
        )
        choice.note_read(table.names, kept)
        table.require_numbers(kept)
        numbers.flush()
        array = np.memmap(numbers, NUMBER, "c", shape=(table.rows, dialect.width))
    return ChosenColumns(array, kept), [*file.notes, *dialect.notes, *notes, *more]


class _Table:
    """A table that is read once, some rows at a time.

    Attributes:
        rows: read so far.
        head: its first rows.
        held: the parts of each column that its first rows do not settle.
        numeric: which columns have held numbers, or True and False, in all parts.
        ends_missing: a row lacks a value in the last column.
    """

    def __init__(self, file: TextFile, dialect: Dialect, names: Sequence[str], places: Sequence[int]) -> None:
        self.file, self.dialect, self.names, self.places = file, dialect, names, places
        self.rows, self.size = 0, 0
        self.held: dict[int, list[pd.Series]] = {}
        self.numeric = np.ones(dialect.width, bool)
        self.ends_missing = False

    def convert(self, numbers: IO[bytes]) -> None:
        """Write the numbers of all rows, NaN where a column holds something else.

        Raises:
            Irregular: a line has too many fields, or the columns to hold take too much memory.
        """
        width = self.dialect.width
        for part in read_chunks(self.file, self.dialect, max(HEAD, part_of(self.dialect))):
            require_width(part, self.dialect)
            if not self.rows:
                self.head = part.iloc[:HEAD].copy()
                self.held = {
                    p: [] for p in self.places if not shown_by_head(self.head.iloc[:, p], self.names[p])
                }
            kinds = np.array([kind.kind for kind in part.dtypes[:width]])
            are = np.isin(kinds, list("fiub"))
            self.numeric &= are
            self._hold(part)
            block = np.full((len(part), width), np.nan, NUMBER)
            block[:, are] = part.iloc[:, np.flatnonzero(are)].to_numpy(NUMBER)
            numbers.write(block.tobytes())
            self.rows += len(part)
            self.ends_missing = self.ends_missing or bool(part.iloc[:, width - 1].isna().any())

    def _hold(self, part: "pd.DataFrame") -> None:
        for place, parts in self.held.items():
            parts.append(part.iloc[:, place].copy())
            self.size += int(parts[-1].memory_usage(index=False, deep=True))
        settled = set(self.places) - set(self.held)
        if self.size > HELD:
            raise Irregular("many columns hold whole numbers or texts")
        if any(part.iloc[:, place].dtype.kind not in "fiu" for place in settled):
            raise Irregular(MIXED)

    def columns(self) -> list["pd.Series"]:
        """Return all columns: those held, and the first rows of the others.

        Raises:
            Irregular: there are no rows, or a column holds numbers in some parts and texts in others, so that what was
                written is not known any more.
        """
        if not self.rows:
            raise Irregular("it holds no rows")
        columns = [self.head.iloc[:, place] for place in range(self.dialect.width)]
        for place, parts in self.held.items():
            columns[place] = joined(parts)
        return columns

    def require_numbers(self, kept: Sequence[int]) -> None:
        """Raise Irregular unless these columns held numbers in every part, not all of them True and False alone."""
        flags = [place in self.held and self.held[place][0].dtype.kind == "b" for place in kept]
        if all(flags):
            raise Irregular("its columns hold True and False")
        if not self.numeric[list(kept)].all():
            raise Irregular(MIXED)
