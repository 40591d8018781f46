"""Compare what names the rows of x and of y, which must be in one order where both name them alike."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    from intrinsic_clip.dimension.row_source import RowSource


def compared(sources: Mapping[str, "RowSource"], settings: Mapping[str, Any]) -> list[str]:
    """Require one order of the ids that both sides have, and return a note for each that have other values.

    Images and texts may have ids of their own under one name, so that other values alone are no fault. Ids that
    `groups` joins by are not compared, nor are files of different numbers of rows, which are told of elsewhere.

    Args:
        sources: rows by side; those that name their rows themselves are compared by that.
        settings: which name the files.

    Raises:
        ConfigError: the rows of x and of y are named differently, or have the same ids in another order.
    """
    _check_keys(sources)
    if settings.get("groups") is not None or settings.get("x") is None or settings.get("y") is None:
        return []
    paths = Path(settings["x"]), Path(settings["y"])
    if not all(path.is_file() for path in paths) or os.path.samefile(*paths):
        return []
    return _compared_columns(paths, settings)


def _compared_columns(paths: tuple[Path, Path], settings: Mapping[str, Any]) -> list[str]:
    from intrinsic_clip.data.formats.column_choice import ColumnChoice
    from intrinsic_clip.data.formats.row_ids import id_names, row_ids
    from intrinsic_clip.measurement.compared_ids import REORDERED, difference

    drop = ColumnChoice.of(None, settings["drop"]).drop
    of_x = id_names(paths[0], drop)
    common = set(of_x) & set(id_names(paths[1], drop)) if of_x else set()
    notes = []
    for column in sorted(common):  # one at a time: texts of millions of rows fill memory
        first, second = (row_ids(path, drop, {column}).get(column) for path in paths)
        if first is None or second is None or len(first) != len(second):
            continue
        found = difference(first, second)
        if found is None:
            continue
        told = found.told(column, "xy")
        if found.reordered:
            raise ConfigError(f"{told}; {REORDERED} (drop={column} does not compare them)")
        notes.append(f"{told}; row i of each are taken to be a pair all the same")
    return notes


def _check_keys(sources: Mapping[str, "RowSource"]) -> None:
    """Require the same ids in the same order, where rows are read together with what names them."""
    ids = {side: getattr(source, "ids", None) for side, source in sources.items()}
    x, y = ids.get("x"), ids.get("y")
    if x is None or y is None or len(x) != len(y) or x == y:  # another number of rows is told of elsewhere
        return
    row = next(place for place, (one, other) in enumerate(zip(x, y, strict=True)) if one != other)
    raise ConfigError(
        f"x and y name their rows differently: row {row + 1} is {x[row]!r} in x and {y[row]!r} in y; "
        "row i of each must belong together"
    )
