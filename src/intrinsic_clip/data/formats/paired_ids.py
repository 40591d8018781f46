"""Compare what names the rows of two files, which must be in one order where both name them alike."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from intrinsic_clip.data.formats.compared_ids import REORDERED, difference
from intrinsic_clip.data.formats.row_ids import id_names, row_ids
from intrinsic_clip.errors import ConfigError

TAKEN = "row i of each are taken to belong together all the same"
Ids = Sequence[str | int] | None  # what names rows, where they are read together with it


def compared(
    files: Mapping[str, Path | None],
    ids: Mapping[str, Ids],
    drop: Sequence[str | int] = (),
    dropping: str | None = "drop",
) -> list[str]:
    """Require one order of the ids that two files both have, and return a note for each that have other values.

    Images and texts may have ids of their own under one name, so that other values alone are no fault. Ids under
    different names are noted where they are the same in another order. Files of different numbers of rows are told of
    elsewhere.

    Args:
        files: the two files whose rows i belong together, by the settings that name them; None: not compared.
        ids: of those whose rows were read together with what names them, which are compared by that.
        drop: columns whose order is noted and not required, by name, place or pattern.
        dropping: the setting that says so; None: there is none.

    Raises:
        ConfigError: the rows are named differently, or have the same ids in another order.
    """
    names = (first, second) = tuple(files)
    _check_keys(names, (ids.get(first), ids.get(second)))
    notes = _compared_with_columns(files, ids, drop, dropping)
    paths = [path for path in files.values() if path is not None and path.exists()]
    if len(paths) < 2 or os.path.samefile(*paths):
        return notes
    required, common = _common(paths, drop), _common(paths)
    if not common:
        return notes + _compared_by_other_names(names, paths)
    for column in common:  # one at a time: texts of millions of rows fill memory
        one, other = (_column(path, column) for path in paths)
        if one is None or other is None or len(one) != len(other):
            continue
        found = difference(one, other)
        if found is None or (column not in required and not found.reordered):
            continue
        told = found.told(column, names)
        if found.reordered and column in required:
            raise ConfigError(f"{told}; {REORDERED}{_way_out(column, paths, dropping)}")
        order = "; the same ids in another order" if found.reordered else ""
        notes.append(f"{told}{order}; {TAKEN}")
    return notes


def _compared_with_columns(
    files: Mapping[str, Path | None], ids: Mapping[str, Ids], drop: Sequence[str | int], dropping: str | None
) -> list[str]:
    """Compare what is read together with the rows of one file with the columns of ids of the other.

    Names of samples in another order are refused. Numbers that an index gives its vectors may be those of rows, and
    are noted.
    """
    first, second = files
    notes = []
    for named, other in ((first, second), (second, first)):
        names, path = ids.get(named), files[other]
        if not names or ids.get(other) is not None or path is None or not path.exists():
            continue
        required = _id_names(path, drop) if isinstance(names[0], str) else []
        for column in _id_names(path):
            values = _column(path, column)
            if values is None or len(values) != len(names):
                continue
            found = difference(values, np.array(names, dtype=object if isinstance(names[0], str) else None))
            if found is None or not found.reordered:
                continue  # an id of another kind, such as the name of a file
            told = found.told(column, (other, f"the names of the rows of {named}"))
            if column in required:
                raise ConfigError(f"{told}; {REORDERED}{_way_out(column, [path], dropping)}")
            notes.append(f"{told}; the same ids in another order; {TAKEN}")
    return notes


def _compared_by_other_names(names: tuple[str, ...], paths: Sequence[Path]) -> list[str]:
    """Compare ids that have one name in one file and another in the other; nothing where any of them agree."""
    notes: list[str] = []
    columns = _id_names(paths[0])
    others = _columns(paths[1], _id_names(paths[1])) if columns else {}
    for column in columns if others else ():
        one = _column(paths[0], column)
        for other, its in others.items():
            if one is None or len(one) != len(its):
                continue
            found = difference(one, its)
            if found is None:
                return []
            if found.reordered:
                told = found.told(column, (names[0], f"{other!r} of {names[1]}"))
                notes.append(f"{told}; the same ids in another order; {TAKEN}")
    return notes


def _way_out(column: str, paths: Sequence[Path], dropping: str | None) -> str:
    """Return which setting makes a note of a refusal, where one of the files has columns that can be dropped."""
    tables = any(path.suffix.lower() != ".npz" for path in paths)
    return f" (with {dropping}={column} this is a note)" if dropping and tables else ""


def _common(paths: Sequence[Path], drop: Sequence[str | int] = ()) -> list[str]:
    """Return the names under which both files name their rows, without those of columns that are left out."""
    first = set(_id_names(paths[0], drop))
    return sorted(first & set(_id_names(paths[1], drop))) if first else []


def _id_names(path: Path, drop: Sequence[str | int] = ()) -> list[str]:
    try:
        return id_names(path, drop)
    except ConfigError:  # a file of classes may be no table of numbers
        return []


def _column(path: Path, column: str) -> np.ndarray | None:
    return _columns(path, [column]).get(column)


def _columns(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return columns of ids in the order of their names, in one reading of the file."""
    if not names:
        return {}
    try:
        found = row_ids(path, only=set(names))
    except ConfigError:  # likewise
        return {}
    return {name: found[name] for name in names if name in found}


def _check_keys(names: tuple[str, ...], ids: tuple[Ids, Ids]) -> None:
    """Require the same ids in the same order, where rows are read together with what names them."""
    first, second = ids
    if first is None or second is None or len(first) != len(second) or first == second:
        return  # another number of rows is told of elsewhere
    row = next(place for place, (one, other) in enumerate(zip(first, second, strict=True)) if one != other)
    raise ConfigError(
        f"{names[0]} and {names[1]} name their rows differently: row {row + 1} is {first[row]!r} in {names[0]} and "
        f"{second[row]!r} in {names[1]}; row i of each must belong together"
    )
