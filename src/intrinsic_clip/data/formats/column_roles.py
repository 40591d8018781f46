"""Tell the dimensions in a table from the columns that are none: an index, an id, a class, a file name."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from intrinsic_clip.data.formats.text_dialect import GROUPED, is_number
from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

Columns: TypeAlias = Sequence["pd.Series"]

INDEX_NAMES = {
    "index",
    "idx",
    "id",
    "ids",
    "row",
    "rowid",
    "rownames",
    "row_names",
    "row_number",
    "uuid",
    "guid",
}
INDEX_NAMES |= {"level_0", "rowname", "key", "no", "nr", "num", "timestamp", "time", "date", "datetime"}
ID_ENDINGS = re.compile(r".*(_id|_idx|_index|[a-z]Id|[a-z]ID|_uuid)|__index_level_\d+__|Unnamed: \d+(\.\d+)*")
CLASS_NAMES = {
    "label",
    "labels",
    "class",
    "classes",
    "target",
    "targets",
    "category",
    "cluster",
    "split",
    "fold",
}
CLASS_NAMES |= {
    "species",
    "subset",
    "batch",
    "group",
    "celltype",
    "cell_type",
    "gt",
    "groundtruth",
    "ground_truth",
}
CLASS_ENDINGS = re.compile(
    r".*(_label|_class|_cluster|_target|_category|_split|_fold)|(label|class|target)_.*"
)
WEAK_CLASS_NAMES = {"y", "s", "c", "fold", "group", "batch", "split"}  # only with few whole numbers
TEXT_NAMES = {
    "name",
    "file",
    "filename",
    "file_name",
    "path",
    "filepath",
    "file_path",
    "image",
    "img",
    "url",
    "uri",
}
TEXT_NAMES |= {"text", "caption", "captions", "title", "sentence", "description", "word", "token", "document"}
UUID = r"\d{16,}|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}([T ].*)?")
RESEMBLES_NUMBER = re.compile(
    r"[-+($€£%.,\d\s eEjJ)*]*\d[-+($€£%.,\d\s eEjJ)*]*|0[xX][0-9a-fA-F]+|#[A-Z/0!]+[!?]?"
)
UNNAMED = "Unnamed: 0"  # pandas' heading of a column whose heading is empty
SURE = 10  # rows from which on chance makes no column rise in every row
LOOKED_AT = 1000  # rows, before all are
HEAD = 2 * LOOKED_AT  # rows that remarks are made on
HELD = 2**30  # bytes of columns that are held until their role is known, where a table is read block by block
SHOWN = 40  # characters of a name in a message


def dimensions(
    table: Columns, names: Sequence[str], places: Sequence[int], headed: bool = True, prefix: str = ""
) -> tuple[list[int], list[str]]:
    """Return the places of the columns that are dimensions, and a note on each of the others.

    Args:
        table: the columns, of numbers or texts; where `shown_by_head` says so, the first rows of one do.
        names: their headings, empty where there is none.
        places: of the columns to look at.
        headed: whether the table has headings, so that an empty one means something: pandas and R write an index so.
        prefix: of the settings that choose columns, for messages.

    Raises:
        ConfigError: a column is neither numbers nor anything that can be left out.
    """
    if len(places) < 2:
        require_numbers(table, names, places, prefix)
        return list(places), []
    columns = _Columns.of(table, names, places)
    kept, notes = [], []
    for p in places:
        reason = _reason(table[p], names[p] or (UNNAMED if headed else ""), p, columns)
        if reason is None:
            kept.append(p)
        else:
            notes.append(f"{'the first column' if p == 0 else shown(names, p)} {reason} and is left out")
    require_numbers(table, names, kept, prefix)
    if not kept:
        raise ConfigError(
            f"no column of dimensions is left: {'; '.join(notes)}; {prefix}columns=… chooses some"
        )
    notes += _remarks(table, names, kept, prefix)
    return kept, notes


def shown(names: Sequence[str], place: int) -> str:
    """Return how a column is called in messages."""
    return f"column {names[place]!r}" if names[place] else f"column {place + 1}"


def shown_by_head(head: "pd.Series", name: str) -> bool:
    """Return whether the first rows of a column of numbers show its role as all of them would: they hold fractions.

    Args:
        head: at least 2,000 rows, if there are as many.
        name: heading of the column; one that is named like an index may rise from row to row.
    """
    fractions = head.dtype.kind == "f" and bool(head.notna().any()) and not _is_whole(head)
    return fractions and not _is_named(name, INDEX_NAMES)


def require_numbers(table: Columns, names: Sequence[str], places: Sequence[int], prefix: str = "") -> None:
    """Raise ConfigError that names the first of these columns that does not hold numbers; see `dimensions`."""
    for p in places:
        column = table[p]
        if column.dtype.kind in "fiub":
            continue
        texts = [value for value in column.head(100_000) if isinstance(value, str)]
        example = next((text for text in texts if not is_number(text)), None)
        detail = f"for instance {example[:40]!r}" if example else str(column.dtype)
        if example and GROUPED.fullmatch(example.strip()):
            detail += ", which groups thousands"
        if texts and example is None:
            spaced = next((text for text in texts if text != text.strip()), texts[0])
            detail = f"numbers written as text, for instance {spaced[:40]!r}"
        name = repr(names[p][:SHOWN]) if names[p] else str(p + 1)
        if len(table) == 1:
            raise ConfigError(
                f"the only column{f' {name}' if names[p] else ''} holds other things than numbers ({detail}); fields "
                "are told apart by commas, semicolons, tabs, vertical bars or spaces"
            )
        left_out = names[p] if 0 < len(names[p]) <= SHOWN else p
        raise ConfigError(
            f"column {name} holds other things than numbers ({detail}); {prefix}drop={left_out} leaves it out"
        )


@dataclass(frozen=True)
class _Columns:
    """Properties of the columns of a table, each judged beside the others.

    Attributes:
        count: number of columns.
        whole: places of those that hold whole numbers only.
        orders: of these, those that hold each number once, with what an index or id would show.
        flags: places of those that hold True and False.
        series: places of those that are named alike, `d0`, `d1`, …, where these are most of all.
    """

    count: int
    whole: set[int]
    orders: dict[int, str]
    flags: set[int]
    series: set[int]

    @classmethod
    def of(cls, table: Columns, names: Sequence[str], places: Sequence[int]) -> "_Columns":
        """Look at the columns of a table at these places."""
        whole = {p for p in places if _is_whole(table[p])}
        orders = {
            p: order
            for p in whole
            if (order := _order(table[p].dropna().to_numpy(), len(whole) < len(places)))
        }
        flags = {p for p in places if table[p].dtype.kind == "b"}
        return cls(len(places), whole, orders, flags, _series(names, places))

    def are_few(self, some: Collection[int]) -> bool:
        """Return whether so few columns can be other things than dimensions."""
        return len(some) <= max(2, self.count // 10)


def _reason(column: "pd.Series", name: str, place: int, columns: _Columns) -> str | None:
    """Return why a column is no dimension, or None."""
    if column.dtype.kind == "b":
        few = len(columns.flags) < columns.count and columns.are_few(columns.flags)  # many are one-hot codes
        return "holds True and False" if few else None
    if column.dtype.kind not in "fiu":
        return _reason_of_text(column, name, place)
    if place not in columns.whole:
        return _reason_of_numbers(column, name)
    values = column.dropna().to_numpy()
    by_name = _reason_by_name(values, name, place, len(values) == len(column))
    if by_name is None and place in columns.orders and columns.are_few(columns.orders):
        return columns.orders[place]
    return by_name or _reason_of_class(values, name, place, columns)


def _reason_of_text(column: "pd.Series", name: str, place: int) -> str | None:
    if not column.dropna().head(LOOKED_AT).map(lambda value: isinstance(value, str | date | int)).all():
        return None
    texts = column.dropna().astype(str).str.strip()
    sample = texts.head(LOOKED_AT)
    if texts.empty:
        return "is empty"
    if sample.map(lambda text: DATE.fullmatch(text) is not None).mean() > 0.5:
        return "holds dates" if place == 0 or _is_named(name, INDEX_NAMES) else None
    distinct = texts.nunique()
    if distinct == len(texts) and sample.str.fullmatch(UUID).all():
        return "holds ids"
    named = _is_named(name, INDEX_NAMES | TEXT_NAMES) or ID_ENDINGS.fullmatch(name) is not None
    doubtful = [text for text in sample if RESEMBLES_NUMBER.fullmatch(text)]
    if named:  # an id may be 000252
        doubtful = [text for text in doubtful if not text.isdecimal()]
    if len(doubtful) > 0.1 * len(sample):
        return None  # numbers that are written unusually, not names
    if distinct == len(texts) and (place == 0 or not name):
        return "names the rows"
    if name == UNNAMED and place == 0:
        return "names the rows"
    if distinct == len(texts) and named:
        return "holds names"
    if distinct == len(texts) and sample.str.contains(r"\.\w{2,4}$", regex=True).all():
        return "holds names"
    if distinct > 1 and named:
        return "holds texts"
    of_class = _is_named(name, CLASS_NAMES | WEAK_CLASS_NAMES) or CLASS_ENDINGS.fullmatch(name.lower())
    if distinct > 1 and (of_class or 2 * distinct <= len(texts)):
        return f"holds {distinct:,} classes"
    return None


def _reason_of_numbers(column: "pd.Series", name: str) -> str | None:
    if column.isna().all():
        return "is empty"
    if _is_named(name, CLASS_NAMES - WEAK_CLASS_NAMES):
        return "is no dimension by its name"
    values = column.to_numpy(float)
    told = len(values) >= SURE and _is_named(name, INDEX_NAMES) and _rises(values)
    return "rises from row to row" if told else None


def _rises(values: np.ndarray) -> bool:
    """Return whether each value is larger than the one before; two that are infinite have no difference."""
    return bool((values[1:] > values[:-1]).all())


def _reason_by_name(values: np.ndarray, name: str, place: int, complete: bool) -> str | None:
    """Return why whole numbers are an index or classes by their heading or by counting the rows, or None."""
    if complete and place == 0 and values[0] in (0, 1) and bool((np.diff(values) == 1).all()):
        return "counts the rows"
    span = f"{int(values.min())} to {int(values.max())}"
    if _is_pandas_index(name):
        return f"is the index that pandas wrote ({span})"
    if _is_named(name, INDEX_NAMES) or ID_ENDINGS.fullmatch(name):
        return f"is an index by its name ({span})"
    if _is_named(name, CLASS_NAMES - WEAK_CLASS_NAMES) or CLASS_ENDINGS.fullmatch(name.lower()):
        return f"holds classes by its name ({len(np.unique(values)):,} of them)"
    return None


def _order(values: np.ndarray, among_fractions: bool) -> str | None:
    """Return how whole numbers show an index or id, each of them once, or None."""
    count = len(values)
    once = count >= SURE and len(np.unique(values[:LOOKED_AT])) == min(count, LOOKED_AT)
    if not once or len(np.unique(values)) < count:
        return None
    steps = np.diff(values.astype(np.float64))
    span = f"{int(values.min())} to {int(values.max())}"
    if bool((steps > 0).all()) or bool((steps < 0).all()):
        return f"holds whole numbers from {span} in order, as an index does,"
    if values.max() - values.min() + 1 == count:
        return f"holds each whole number from {span} once, as a shuffled index does,"
    return f"holds whole numbers from {span}, none of them twice, as an id does," if among_fractions else None


def _reason_of_class(values: np.ndarray, name: str, place: int, columns: _Columns) -> str | None:
    """Return why whole numbers among fractions are classes, or None."""
    distinct = len(np.unique(values))
    if len(columns.whole) == columns.count or distinct < 2 or 2 * distinct > len(values):
        return None
    if _is_named(name, WEAK_CLASS_NAMES):
        return f"holds classes by its name ({distinct:,} of them)"
    few = columns.are_few(columns.whole) and len(values) >= SURE and place not in columns.series
    return f"holds {distinct:,} different whole numbers, as classes do," if few else None


def _remarks(table: Columns, names: Sequence[str], kept: Sequence[int], prefix: str) -> list[str]:
    """Return notes on dimensions that may be none: those that rise from row to row, and whole numbers among others."""
    if len(kept) < 2 or len(table[kept[0]]) < SURE:
        return []
    columns = {p: table[p].iloc[:HEAD].to_numpy(float, na_value=np.nan) for p in kept}
    rising = [p for p, values in columns.items() if _rises(values)]
    risen = "rises from row to row"
    notes = [f"{shown(names, p)} {risen}; {prefix}drop={names[p] or p} if it is a time" for p in rising]
    whole = [p for p in kept if _is_whole(table[p]) and len(np.unique(columns[p])) > 1]
    if len(whole) <= max(2, len(kept) // 10) and len(whole) < len(kept):
        notes += [
            f"{shown(names, p)} holds whole numbers; {prefix}drop={names[p] or p} if these are classes"
            for p in whole
        ]
    return notes


def _is_pandas_index(name: str) -> bool:
    return re.fullmatch(r"Unnamed: \d+(\.\d+)*|__index_level_\d+__", name) is not None


def _is_named(name: str, names: set[str]) -> bool:
    return name.strip().lower().replace(" ", "_") in names


def _is_whole(column: "pd.Series") -> bool:
    """Return whether a column of numbers holds whole ones only, at least one of them."""
    if column.dtype.kind in "iu":
        return True
    if column.dtype.kind != "f":
        return False
    for part in (column.iloc[:LOOKED_AT], column):
        values = part.to_numpy(float, na_value=np.nan)
        values = values[~np.isnan(values)]
        if not bool((np.floor(values) == values).all() & np.isfinite(values).all()):
            return False
    return bool(len(values))


def _series(names: Sequence[str], places: Sequence[int]) -> set[int]:
    """Return the places of the columns that are named alike, `d0`, `d1`, …, where these are most of all."""
    stems = {p: names[p].rstrip("0123456789") for p in places}
    stem, count = Counter(stems.values()).most_common(1)[0]
    return {p for p, own in stems.items() if own == stem} if stem and 2 * count > len(places) else set()
