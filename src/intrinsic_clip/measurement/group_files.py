"""Read the ids of groups and the classes that `groups=` and `labels=` name, from files or from columns of x and y."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from intrinsic_clip.data.formats.class_labels import Called
    from intrinsic_clip.data.formats.column_choice import ColumnChoice
    from intrinsic_clip.measurement.groups import Arrangement, Ids
    from intrinsic_clip.measurement.loading import LoadedEmbeddings

SETTINGS = ("groups", "labels")
SIDES = ("x", "y")
CALLED: "dict[str, Called]" = {"groups": "an id", "labels": "a class"}  # what a row of the file lacks


def arranged(
    embeddings: "LoadedEmbeddings", settings: Mapping[str, Any], given: "Arrangement | None" = None
) -> None:
    """Give embeddings the rows and the grouping that the settings ask for; nothing where they ask for none.

    Args:
        embeddings: rows as they were read.
        settings: which name ids and classes.
        given: what the ids of another model's files, of as many rows, say of its rows and so of these; None: read them.

    Raises:
        ConfigError: ids cannot be read, do not fit the rows, or could mean several things.
    """
    if not wanted(settings):
        return
    from intrinsic_clip.measurement.groups import arrange

    counts = {side: len(rows) for side, rows in embeddings.sides.items()}
    arrangement = given or arrange(
        counts, _groups(settings, counts), _labels(settings, counts), _kept(embeddings, settings)
    )
    for side, rows in arrangement.rows.items():
        embeddings.sides[side] = embeddings.sides[side][rows]
    embeddings.grouping, embeddings.arrangement = arrangement.grouping, arrangement
    embeddings.notes += arrangement.notes


def _kept(embeddings: "LoadedEmbeddings", settings: Mapping[str, Any]) -> "dict[str, Tensor] | None":
    """Return which rows of each side are left where `nan=drop` leaves some out; None: all."""
    if settings.get("nan") != "drop":
        return None
    return {side: rows.isfinite().all(1) for side, rows in embeddings.sides.items()}


def wanted(settings: Mapping[str, Any]) -> bool:
    """Return whether groups or classes are given."""
    return any(settings.get(setting) is not None for setting in SETTINGS)


def check_same_ids(first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    """Check that columns of ids and classes that two models' tables both have say the same of row i of both.

    Args:
        first, second: settings of the models; x and y are the files of each.

    Raises:
        ConfigError: a column differs, or cannot be read; the message has the sides of the first model's settings.
    """
    import numpy as np

    from intrinsic_clip.data.formats.compared_ids import REORDERED, difference

    for setting in SETTINGS:
        for name in _listed(first.get(setting)):
            if Path(name).is_file() or not _tables(first):
                continue
            (one, _), (other, _) = (_columns_found(model, setting, name, {}) for model in (first, second))
            for side in one.keys() & other.keys():
                found = difference(np.asarray(one[side]), np.asarray(other[side]))
                if found is None or first[side] == second[side]:
                    continue
                told = found.told(name, (side, "against" if side == "x" else "against_y"))
                remedy = REORDERED if found.reordered else "row i of each must be of the same thing"
                raise ConfigError(f"{told}; {remedy}")


def leave_out_ids(choice: "ColumnChoice", settings: Mapping[str, Any]) -> None:
    """Add columns of ids to those that are left out, since an id is no coordinate; `arranged` tells of missing ones."""
    if not _tables(settings):
        return
    named = {name: setting for setting in SETTINGS for name in _listed(settings.get(setting))}
    choice.ids = {name: setting for name, setting in named.items() if not Path(name).is_file()}
    choice.drop = [*choice.drop, *choice.ids]
    choice.matched |= set(choice.ids)


def contents(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an address must know of the settings: contents of files, names of columns."""
    from intrinsic_clip.runs.contents import file_digest

    return {
        setting: [
            [Path(name).suffix, file_digest(setting, Path(name))] if Path(name).is_file() else name
            for name in _listed(settings[setting])
        ]
        for setting in SETTINGS
        if settings.get(setting) is not None
    }


def _groups(settings: Mapping[str, Any], counts: Mapping[str, int]) -> "Mapping[str, Ids] | Ids | None":
    names = _listed(settings.get("groups"))
    if not names:
        return None
    if len(names) == 2:
        return {
            side: _from_file(_with_key_for(name, names, settings), "groups", name, counts.get(side))
            for side, name in zip(SIDES, names, strict=True)
        }
    if Path(names[0]).is_file() or not _tables(settings):
        return _from_file(settings, "groups", names[0], max(counts.values()))
    columns = _from_columns(settings, "groups", names[0], counts)
    return columns if len(columns) > 1 else next(iter(columns.values()))


def _with_key_for(name: str, names: list[str], settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings without the key for an .npy beside a file of several arrays, which the key is for."""
    unnamed = [Path(each).suffix.lower() == ".npy" for each in names]
    if Path(name).suffix.lower() != ".npy" or all(unnamed):
        return settings
    return {**settings, "groups_key": None}


def _labels(settings: Mapping[str, Any], counts: Mapping[str, int]) -> "Ids | None":
    name = settings.get("labels")
    if name is None:
        return None
    if Path(name).is_file() or not _tables(settings):
        return _from_file(settings, "labels", name, counts["x"])
    return next(iter(_from_columns(settings, "labels", name, counts).values()))


def _from_file(settings: Mapping[str, Any], setting: str, name: str, rows: int | None) -> "Ids":
    from intrinsic_clip.data.formats.array_key import Key
    from intrinsic_clip.data.formats.class_labels import read_label_values

    option = f"{setting}_key"
    try:
        return read_label_values(Path(name), Key(settings.get(option), option=option), rows, CALLED[setting])
    except ConfigError as error:
        raise ConfigError(f"{setting}={name}: {error}") from error


def _from_columns(
    settings: Mapping[str, Any], setting: str, name: str, counts: Mapping[str, int]
) -> "dict[str, Ids]":
    """Return a column of those tables among x and y that have it.

    Raises:
        ConfigError: none has it, it cannot be read, or a key is given, which only a file can need.
    """
    option = f"{setting}_key"
    if settings.get(option) is not None:
        raise ConfigError(f"{option}={settings[option]}: {setting}={name} names a column, so leave it out")
    columns, missing = _columns_found(settings, setting, name, counts)
    if not columns:
        raise ConfigError(f"{setting}={name}: no such file, and {'; '.join(missing)}")
    return columns


def _columns_found(
    settings: Mapping[str, Any], setting: str, name: str, counts: Mapping[str, int]
) -> "tuple[dict[str, Ids], list[str]]":
    """Return a column of those tables among x and y that have it, and a sentence on each that has not.

    Raises:
        ConfigError: it cannot be read.
    """
    from intrinsic_clip.data.formats.array_key import Key
    from intrinsic_clip.data.formats.class_labels import read_label_values

    columns: dict[str, Ids] = {}
    missing = []
    for side in _tables(settings):
        path = Path(settings[side])
        try:
            key = Key(name, option=setting)
            columns[side] = read_label_values(path, key, counts.get(side), CALLED[setting])
        except ConfigError as error:
            if not str(error).startswith(f"holds no {name!r}"):
                raise ConfigError(f"{setting}={name}: {side}={path}: {error}") from error
            missing.append(f"{side}={path} {error}")
    return columns, missing


def _tables(settings: Mapping[str, Any]) -> list[str]:
    """Return the sides that are tables."""
    from intrinsic_clip.data.formats.table_arrays import TABLES

    return [
        side
        for side in SIDES
        if settings.get(side) is not None and Path(settings[side]).suffix.lower() in TABLES
    ]


def _listed(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)
