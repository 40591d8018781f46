"""Read columns of numbers of pyarrow as a matrix, each column a dimension.

What its columns are is decided as for tables that are read whole: columns whose first rows hold fractions are settled
by these, and all others (an index, ids, names, classes) are held whole until it is known what they are.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.arrow_lists import PART, ListColumn, chosen_column, kind_of
from intrinsic_clip.data.formats.column_choice import ColumnChoice
from intrinsic_clip.data.formats.column_roles import HEAD, HELD, shown_by_head
from intrinsic_clip.data.formats.decisions import print_decisions
from intrinsic_clip.data.formats.list_columns import holds_lists
from intrinsic_clip.data.formats.number_tables import Irregular
from intrinsic_clip.data.formats.number_types import FLOATING, numpy_name
from intrinsic_clip.data.formats.packed_tables import plain
from intrinsic_clip.data.formats.table_arrays import number_columns
from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

READ = 2**23  # numbers to read at a time, at least
Read = Callable[[Sequence[str]], Iterator["pa.RecordBatch"]]  # columns of these names, some rows at a time


class NumberColumns:
    """Columns of numbers, one for each dimension.

    Args:
        names: of the columns.
        dtype: of the matrix.

    Attributes:
        width: how many they are.
        part: rows to read at a time, more than of lists, since every column of a part takes time.
    """

    def __init__(self, names: Sequence[str], dtype: torch.dtype) -> None:
        self.names, self.dtype, self.width = list(names), dtype, len(names)
        self.part = max(PART, READ // self.width)

    def matrix(self, batch: "pa.RecordBatch", start: int) -> Tensor:
        """Return a batch as rows, an empty cell as NaN.

        Args:
            batch: some rows of the columns, in any order.
            start: rows before them.
        """
        columns = np.empty((len(self.names), len(batch)), numpy_name(self.dtype))
        for name, into in zip(self.names, columns, strict=True):
            into[:] = batch.column(name).to_numpy(zero_copy_only=False)
        return torch.from_numpy(columns).mT.contiguous()


Content = ListColumn | NumberColumns


def chosen_content(
    source: str, schema: "pa.Schema", key: Key, choice: ColumnChoice, read: Read
) -> tuple[Content, list[str]] | None:
    """Return the column of lists or the columns of numbers to read, and notes; None where a table is to be read whole.

    Args:
        source: the file; what is decided is printed under this name.
        schema: of the table.
        key: the column of lists.
        choice: the columns to read.
        read: yields the rows of some columns.

    Raises:
        ConfigError: several columns hold lists and none is chosen; there are no rows; or a column is neither numbers
            nor can be left out.
    """
    try:
        return _content(schema, key, choice, read)
    except Irregular as reason:
        print_decisions(source, [f"is read whole, since {reason}"])
        return None


def required_content(
    schema: "pa.Schema", key: Key, choice: ColumnChoice, read: Read
) -> tuple[Content, list[str]]:
    """Return the column of lists or the columns of numbers to read, and notes, of a table that is never read whole.

    Args:
        schema, key, choice, read: as for `chosen_content`.

    Raises:
        ConfigError: as for `chosen_content`, or the table holds neither lists of floats nor fractions in columns.
    """
    try:
        chosen = _content(schema, key, choice, read)
    except Irregular as reason:
        raise ConfigError(
            f"{reason}, more than are held; {choice.prefix}columns=… names those to read"
        ) from reason
    if chosen is None:
        raise _without_content(schema, key, choice.prefix)
    return chosen


def _content(
    schema: "pa.Schema", key: Key, choice: ColumnChoice, read: Read
) -> tuple[Content, list[str]] | None:
    lists = chosen_column(schema, key, choice)
    if lists is not None or key.value is not None:
        return lists
    return _chosen_numbers(schema, choice, read)


def _without_content(schema: "pa.Schema", key: Key, prefix: str) -> ConfigError:
    """Return the error of a table without a column to read, which names its columns and what would read some."""
    import pyarrow as pa

    columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
    if key.value is not None:
        return ConfigError(
            f"of its columns, {columns}, {key.value!r} ({key.option}) is not a column of lists of numbers"
        )
    lists = [field.name for field in schema if kind_of(field.type) is not None]
    hint = f"; {key.option}={lists[0]} reads lists of whole numbers" if lists else ""
    if any(pa.types.is_floating(field.type) for field in schema):
        hint += f"; {prefix}columns=… reads columns of numbers that it names"
    return ConfigError(
        f"its columns, {columns}, are neither lists of floats nor numbers alone, with fractions{hint}"
    )


def _chosen_numbers(
    schema: "pa.Schema", choice: ColumnChoice, read: Read
) -> tuple[NumberColumns, list[str]] | None:
    """Return the columns of numbers to read, and notes; None where a table is to be read whole.

    Tables of lists, of whole numbers alone, and of other types than whole numbers and fractions are.

    Raises:
        Irregular: columns that are to be held take too much memory.
        ConfigError: there are no rows, or a column is neither numbers nor can be left out.
    """
    import pyarrow as pa

    if len(set(schema.names)) < len(schema.names):
        return None
    index = _index_of_pandas(schema)
    names = [name for name in schema.names if name not in index]
    places, chosen = choice.places(names)
    kinds = {place: schema.field(names[place]).type for place in places}
    if not any(map(pa.types.is_floating, kinds.values())) or any(map(pa.types.is_nested, kinds.values())):
        return None
    columns = _looked_at(schema, names, kinds, read)
    if not len(columns[places[0]]):
        raise ConfigError("holds no rows")
    if any(holds_lists(columns[place]) for place in places):
        return None
    kept, notes = number_columns(columns, names, places, True, chosen, choice)
    if not all(pa.types.is_integer(kinds[place]) or pa.types.is_floating(kinds[place]) for place in kept):
        return None
    choice.note_read(names, kept)
    dtype = np.result_type(*(columns[place].dtype for place in kept))
    if dtype.kind != "f":
        return None
    return NumberColumns([names[place] for place in kept], FLOATING[dtype.name]), notes


def _looked_at(
    schema: "pa.Schema", names: Sequence[str], kinds: Mapping[int, Any], read: Read
) -> list["pd.Series"]:
    """Return the columns at the places of `kinds`: the first rows of those that these settle, and all of the others.

    Raises:
        Irregular: the others take too much memory.
    """
    import pandas as pd
    import pyarrow as pa

    columns = [pd.Series(dtype=np.float64)] * len(names)
    first = [place for place, kind in kinds.items() if pa.types.is_floating(kind)]
    held = [place for place, kind in kinds.items() if not pa.types.is_floating(kind)]
    heads = _frame(schema, [names[place] for place in first], lambda some: _first_rows(read(some)))
    for place in first:
        columns[place] = heads[names[place]]
        if not shown_by_head(columns[place], names[place]):
            held.append(place)
    size = 0
    for place in held:
        columns[place] = plain(_frame(schema, [names[place]], read)[names[place]])
        size += int(columns[place].memory_usage(index=False, deep=True))
        if size > HELD:
            raise Irregular("many columns hold whole numbers or texts")
    return columns


def _first_rows(batches: Iterator["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
    """Yield batches of the rows that columns are judged by."""
    rows = 0
    for batch in batches:
        yield batch.slice(0, HEAD - rows)
        rows += len(batch)
        if rows >= HEAD:
            return


def _frame(schema: "pa.Schema", names: Sequence[str], read: Read) -> "pd.DataFrame":
    """Return some columns as pandas holds them, without the index that it may have stored."""
    import pyarrow as pa

    fields = pa.schema([schema.field(name) for name in names])
    return pa.Table.from_batches((batch.select(names) for batch in read(names)), fields).to_pandas()


def _index_of_pandas(schema: "pa.Schema") -> set[str]:
    """Return the names of the columns in which pandas stored the index of a table."""
    try:
        index = (schema.pandas_metadata or {})["index_columns"]
        return {name for name in index if isinstance(name, str)}
    except (ValueError, KeyError, TypeError, RecursionError):
        return set()
