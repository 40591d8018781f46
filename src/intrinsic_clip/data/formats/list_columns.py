"""Read columns whose cells are vectors: lists in .parquet files, and lists written out as text in text tables."""

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from intrinsic_clip.data.formats.text_dialect import MISSING
from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

LOOKED_AT = 100
# [0.1, 0.2], [0.1 0.2] as NumPy prints it, (0.1, 0.2), array([0.1, 0.2], dtype=float32), tensor([0.1, 0.2])
WRITTEN = re.compile(
    r"\s*(?:(?:np\.)?array\(|tensor\()?\s*[\[(](?P<numbers>[^\[\]()]*)[\])]\s*(?:,?\s*\w+=[^)]*)*\)?\s*"
)
SCALAR = re.compile(r"(?:np|numpy)\.(?:float|int|uint)\d+\(([^()]*)\)")  # as NumPy 2 prints numbers in a list


def holds_lists(column: "pd.Series") -> bool:
    """Return whether the cells of a column are lists, or texts that write lists."""
    if column.dtype.kind in "fiub":
        return False
    cells = [cell for cell in column.head(LOOKED_AT) if not _is_missing(cell)]
    if not cells:
        cells = [cell for cell in column if not _is_missing(cell)][:LOOKED_AT]
    return any(isinstance(cell, list | np.ndarray) for cell in cells) or (
        bool(cells) and all(isinstance(cell, str) and _looks_written(cell) for cell in cells)
    )


def _looks_written(cell: str) -> bool:
    text = cell.strip().removeprefix("np.").removeprefix("array(").removeprefix("tensor(").strip()
    opens = text.startswith("[") or (text.startswith("(") and "," in text)
    return opens and any(character.isdigit() for character in text)


def stacked(rows: "pd.Series", name: str) -> tuple[np.ndarray, list[str]]:
    """Return the lists of a column as `(n, d)`, a missing one as NaN, and notes.

    Raises:
        ConfigError: the lists differ in length, or hold other things than numbers.
    """
    cells = [None if _is_missing(cell) else _numbers(cell, name, place) for place, cell in enumerate(rows)]
    lengths = {len(cell) for cell in cells if cell is not None}
    if len(lengths) > 1:
        raise ConfigError(
            f"column {name!r} holds lists of {min(lengths)} to {max(lengths)} numbers; all must be of one length"
        )
    missing = sum(cell is None for cell in cells)
    notes = [f"{missing:,} of {len(cells):,} cells of column {name!r} are empty"] if missing else []
    blank = np.full(max(lengths, default=0), np.nan, np.float32)
    return np.stack([blank if cell is None else cell for cell in cells]), notes


def _is_missing(cell: Any) -> bool:
    if cell is None or (isinstance(cell, float) and np.isnan(cell)):
        return True
    return isinstance(cell, str) and cell.strip() in MISSING


def _numbers(cell: Any, name: str, place: int) -> np.ndarray:
    """Return the numbers of a cell, `(d,)`."""
    if isinstance(cell, str):
        return _written_numbers(cell, name, place)
    if not isinstance(cell, list | np.ndarray):
        raise ConfigError(
            f"column {name!r} holds lists and other things (row {place + 1}: {str(cell)[:40]!r})"
        )
    array = np.asarray(cell)
    if array.dtype == object and not any(isinstance(part, list | np.ndarray | dict | str) for part in array):
        array = np.array([np.nan if part is None else part for part in array], np.float64)
    if array.ndim != 1 or array.dtype.kind not in "fiub":
        kind = "lists" if array.ndim > 1 or array.dtype == object else str(array.dtype)
        raise ConfigError(f"column {name!r} holds lists of {kind} where lists of numbers are wanted")
    return array


def _written_numbers(cell: str, name: str, place: int) -> np.ndarray:
    if "..." in cell or "…" in cell:
        raise ConfigError(
            f"column {name!r} holds lists that were shortened when they were written (row {place + 1}: '...'); "
            "write the numbers in columns, or a .npy file"
        )
    match = WRITTEN.fullmatch(SCALAR.sub(r"\1", cell))
    try:
        texts = re.split(r"[,;\s]+", match["numbers"].strip(" ,;\n\t")) if match else ["no list"]
        return np.array([np.nan if t in MISSING else float(t) for t in texts if t], np.float64)
    except ValueError as error:
        raise ConfigError(
            f"column {name!r} holds no list of numbers in row {place + 1}: {cell[:40]!r}"
        ) from error
