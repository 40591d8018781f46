"""Read the folders that `save_to_disk` of Hugging Face's `datasets` writes, without that package."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.arrow_files import schema_of
from intrinsic_clip.data.formats.arrow_numbers import required_content
from intrinsic_clip.data.formats.arrow_rows import ArrowRows, all_batches
from intrinsic_clip.data.formats.column_choice import ColumnChoice
from intrinsic_clip.errors import ConfigError

STATE, SPLITS = "state.json", "dataset_dict.json"


def is_dataset_folder(path: Path) -> bool:
    """Return whether a folder was written by `save_to_disk`."""
    return any((path / name).is_file() for name in (STATE, SPLITS))


def dataset_rows(path: Path, key: Key, choice: ColumnChoice) -> tuple[ArrowRows, list[str]]:
    """Return the rows of a data set on disk, lists of floats or numbers in columns, and notes.

    Args:
        path: the folder.
        key: the column of lists.
        choice: the columns to read.

    Raises:
        ConfigError: it holds several splits, is damaged, or no column can be chosen.
    """
    files = data_files(path)
    content, notes = required_content(schema_of(files[0]), key, choice, partial(all_batches, files))
    return ArrowRows(files, content), notes


def data_files(path: Path) -> list[Path]:
    """Return the Arrow files that hold the rows of a data set on disk, in order.

    Raises:
        ConfigError: it holds several splits, is damaged, or is a choice among the rows of its files.
    """
    if (path / SPLITS).is_file():
        splits = _names(path / SPLITS, _content(path / SPLITS).get("splits"))
        raise ConfigError(
            f"holds {len(splits)} splits: {', '.join(splits)}; name the folder of one, such as {path / splits[0]}"
        )
    state = _content(path / STATE)
    if state.get("_indices_files") or state.get("_indices_data_files"):
        raise ConfigError(
            "a choice of rows, stored as row numbers beside all rows; .flatten_indices() before .save_to_disk(…) "
            "writes the chosen ones"
        )
    entries = state.get("_data_files")
    names = [each.get("filename") if isinstance(each, dict) else None for each in entries or []]
    files = [path / name for name in _names(path / STATE, names)]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ConfigError(
            f"lacks {len(missing)} of the {len(files)} files in its {STATE}, first {missing[0]}"
        )
    return files


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path.name} is damaged ({str(error).splitlines()[0]})") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path.name} is damaged (it holds no names with values)")
    return content


def _names(path: Path, names: Any) -> list[str]:
    """Return names of files or folders beside a file that lists them."""
    if not isinstance(names, list) or not names:
        raise ConfigError(f"{path.name} names no files")
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise ConfigError(f"{path.name} names {name!r}, which is no file beside it")
    return names
