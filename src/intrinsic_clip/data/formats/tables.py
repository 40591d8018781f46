"""Read tables of texts (captions, file names, classes) from .csv, .tsv and .parquet, and JSON files."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intrinsic_clip.data.formats.decisions import print_decisions
from intrinsic_clip.data.formats.packed_tables import PACKED, read_packed
from intrinsic_clip.data.formats.text_tables import read_text_table
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.regular_files import require_regular

if TYPE_CHECKING:
    import pandas as pd


LARGEST_WHOLE = 2.0**63  # of int64


def read_table(path: Path, separator: str | None = None, **options: Any) -> "pd.DataFrame":
    """Read a table whose cells are all text, empty where a value is missing; print what was decided about it.

    Args:
        path: a .parquet or .feather file, or one of separated values.
        separator: between values; None: found from the lines.
        options: see `read_text_table`.

    Raises:
        ConfigError: there is no such file, or it is damaged.
    """
    try:
        require_regular(path)
        if path.suffix.lower() in PACKED:
            return _as_texts(read_packed(path))
        table, notes = read_text_table(path, separator, **options)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except ConfigError as error:
        reason = str(error)
        damaged = "" if reason.startswith(("line ", "reading ", "damaged")) else "damaged, or not a table: "
        raise ConfigError(f"{path}: {damaged}{reason}") from error
    except OSError as error:
        reason = (str(error.strerror or error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"{path}: damaged, or not a {path.suffix} table ({reason})") from error
    print_decisions(str(path), notes)
    return table


def _as_texts(table: "pd.DataFrame") -> "pd.DataFrame":
    """Write the cells of a table as text; lists and the like stay, so that `require_columns` can refuse them."""
    import pandas as pd

    columns = {}
    for place in range(table.shape[1]):
        column = table.iloc[:, place]
        if column.dtype.kind == "f":  # whole numbers beside missing ones, which pandas takes as fractions
            known = column.dropna()
            if bool(((known == known.round()) & (known.abs() < LARGEST_WHOLE)).all()):
                column = column.astype("Int64")
        columns[place] = pd.Series([_as_text(value) for value in column.astype(object)], dtype=object)
    texts = pd.DataFrame(columns)
    texts.columns = pd.Index([str(name) for name in table.columns])
    return texts


def _as_text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict | bytes) or hasattr(value, "shape"):
        return value.item() if getattr(value, "shape", None) == () else value
    missing = value is None or type(value).__name__ in ("NAType", "NaTType") or value != value
    return "" if missing else str(value)


def require_setting_file(setting: str, path: Path) -> None:
    """Check that the file that a setting names exists; raise ConfigError that names the setting."""
    try:
        require_regular(path)
    except FileNotFoundError as error:
        raise ConfigError(f"data.{setting}={path}: no such file") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"data.{setting}={path}: {getattr(error, 'strerror', error)}".lower()) from error


def require_columns(path: Path, table: "pd.DataFrame", *columns: str) -> None:
    """Check that a table has these columns once, of texts; raise ConfigError that names the first that it has not."""
    names = [str(name) for name in table.columns]
    for column in columns:
        if column not in names:
            hint = "" if set(columns) & set(names) else "; the first line must name the columns"
            raise ConfigError(f"{path}: has no column {column!r}; its columns are {', '.join(names)}{hint}")
        if names.count(column) > 1:
            raise ConfigError(f"{path}: has {names.count(column)} columns {column!r}; must have one")
        other = next((value for value in table[column] if not isinstance(value, str)), None)
        if other is not None:
            kind = {"dict": "structs", "bytes": "bytes"}.get(type(other).__name__, "lists")
            raise ConfigError(f"{path}: column {column!r} holds {kind} where texts are wanted")


def caption_text(value: Any) -> str:
    """Return a caption of a JSON file as text, empty where it is null.

    Raises:
        TypeError: it is a list or the like, whose text in Python is no caption.
    """
    if isinstance(value, list | dict):
        raise TypeError(f"a caption is a {type(value).__name__} where a text is wanted")
    return "" if value is None else str(value)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        ConfigError: there is no such file, or it is damaged.
    """
    try:
        require_regular(path)
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except (ValueError, OSError, RecursionError) as error:
        raise ConfigError(f"{path}: damaged, or not JSON ({str(error).splitlines()[0]})") from error
