"""Read the matrix in a table: its columns of numbers, or its one column of lists."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.column_choice import ColumnChoice
from intrinsic_clip.data.formats.column_roles import Columns, dimensions, require_numbers
from intrinsic_clip.data.formats.list_columns import holds_lists, stacked
from intrinsic_clip.data.formats.number_tables import read_number_table
from intrinsic_clip.data.formats.packed_tables import PACKED, read_packed
from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

TEXTS = (".csv", ".tsv", ".txt")
TABLES = (*PACKED, *TEXTS)
LISTED = 6  # names in a message


def read_table_array(path: Path, key: Key, choice: ColumnChoice) -> tuple[np.ndarray, list[str]]:
    """Return the matrix in a table, and notes on what was left out.

    Args:
        path: the file.
        key: the column of lists.
        choice: the columns to read.

    Raises:
        ConfigError: it is damaged, or does not hold one matrix of numbers.
        OSError: it cannot be read.
    """
    notes: list[str] = []
    named = True
    if path.suffix.lower() in PACKED:
        table = read_packed(path)
        names = [str(name) for name in table.columns]
    else:
        table, named, notes = read_number_table(path)
        names = [str(name) for name in table.columns] if named else [""] * table.shape[1]
    if not len(table):
        raise ConfigError("holds no rows")
    places, chosen = choice.places(names)
    if not places:
        raise ConfigError(
            f"no column is left after {choice.prefix}drop=…" if table.shape[1] else "holds no columns"
        )
    columns = [table.iloc[:, place] for place in range(table.shape[1])]
    lists = [place for place in places if holds_lists(columns[place])]
    if key.value is not None or (lists and not (chosen and set(places) - set(lists))):
        array, more = _list_column(table, names, lists, key)
        return array, [*notes, *more]
    kept, more = number_columns(columns, names, places, named, chosen, choice)
    choice.note_read(names, kept)
    part = table if len(kept) == len(names) else table.iloc[:, kept]
    array = part.to_numpy()
    if array.dtype == object:
        array = part.to_numpy(np.float64, na_value=np.nan)
    return array, [*notes, *more]


def number_columns(
    table: Columns,
    names: Sequence[str],
    places: Sequence[int],
    named: bool,
    chosen: bool,
    choice: ColumnChoice,
) -> tuple[list[int], list[str]]:
    """Return the places of the columns of numbers to read, and notes on the others.

    Args:
        table: all columns; see `dimensions`.
        names: their headings, empty where there is none.
        places: of those to look at.
        named: the table has headings.
        chosen: the places are those that `columns=…` names.
        choice: the settings that choose columns, for messages.

    Raises:
        ConfigError: a column is neither numbers nor anything that can be left out.
    """
    if chosen:
        require_numbers(table, names, places, choice.prefix)
        return list(places), [
            f"{len(places)} of {len(names)} columns are read, as {choice.prefix}columns=… says"
        ]
    kept, notes = dimensions(table, names, places, named, choice.prefix)
    return kept, [*choice.left_out(names), *notes]


def _list_column(
    table: "pd.DataFrame", names: Sequence[str], lists: Sequence[int], key: Key
) -> tuple[np.ndarray, list[str]]:
    labels = [name or str(place + 1) for place, name in enumerate(names)]
    chosen = key.choose([labels[place] for place in lists], "columns of lists")
    left_out = [name for name in labels if name != chosen]
    notes = [f"column {chosen!r} is read, {_listed(left_out)} left out"] if left_out else []
    array, more = stacked(table.iloc[:, labels.index(chosen)], chosen)
    return array, [*notes, *more]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")
