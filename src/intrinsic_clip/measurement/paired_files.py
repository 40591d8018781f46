"""Compare the ids of the files that the settings name, whose rows i belong together."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intrinsic_clip.data.formats.paired_ids import Ids

SIDES = ("x", "y")


def compared_files(settings: Mapping[str, Any], ids: Mapping[str, "Ids"]) -> list[str]:
    """Require one order of the ids that two of the files have in common, and return notes on those that differ.

    Files of x and y whose rows `groups` joins are not compared with each other.

    Args:
        settings: which name x and y, and perhaps groups and classes.
        ids: of the sides whose rows were read together with what names them.

    Raises:
        ConfigError: rows are named differently, or the same ids are in another order.
    """
    from intrinsic_clip.data.formats.column_choice import ColumnChoice
    from intrinsic_clip.data.formats.paired_ids import compared

    drop = ColumnChoice.of(None, settings["drop"]).drop
    sides = {side: Path(settings[side]) for side in SIDES if settings.get(side) is not None}
    notes = []
    if len(sides) == len(SIDES):
        joined = settings.get("groups") is not None
        notes += compared(dict.fromkeys(SIDES) if joined else dict(sides), ids, drop)
    for setting, file, side in _belonging(settings):
        if side in sides:
            notes += compared({side: sides[side], setting: file}, {side: ids.get(side)}, drop)
    return notes


def _belonging(settings: Mapping[str, Any]) -> list[tuple[str, Path, str]]:
    """Return each file of classes or groups, after its setting, with a side that it may have a row for each row of."""
    labels, groups = settings.get("labels"), settings.get("groups")
    each = [groups] * len(SIDES) if groups is None or isinstance(groups, str) else list(groups)
    joined = len(set(each)) > 1  # by ids, so that classes are of the rows of x alone
    if len(each) < len(SIDES):
        each *= len(SIDES)
    named = [("labels", labels, side) for side in (SIDES[:1] if joined else SIDES)]
    named += [("groups", file, side) for file, side in zip(each, SIDES, strict=False)]
    return [(setting, Path(file), side) for setting, file, side in named if file is not None]
