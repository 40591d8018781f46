"""Read label sets, one class per pair, from files or names."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.arrays import read_array, read_safetensors
from intrinsic_clip.data.formats.column_roles import CLASS_NAMES, INDEX_NAMES, TEXT_NAMES
from intrinsic_clip.data.formats.compared_ids import plain_text
from intrinsic_clip.data.formats.mapped_rows import mapped_array
from intrinsic_clip.data.formats.npz_members import read_npz_member
from intrinsic_clip.data.formats.number_tables import check_widths
from intrinsic_clip.data.formats.packed_tables import PACKED, read_packed
from intrinsic_clip.data.formats.table_arrays import TABLES
from intrinsic_clip.data.formats.text_dialect import MISSING, is_header, is_number
from intrinsic_clip.data.formats.text_lines import Row
from intrinsic_clip.data.formats.text_tables import read_rows
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.regular_files import require_regular

Called: TypeAlias = Literal["a class", "an id"]
# One of them, and several.
WORDS: dict[Called, tuple[str, str]] = {"a class": ("class", "classes"), "an id": ("id", "ids")}
NO_DELIMITER = "\0"  # no text holds it: each line is one field


def class_codes(names: Sequence[object] | np.ndarray) -> Tensor:
    """Return a number per class name, `(n,)` int64: equal for equal names, in the order of the sorted names.

    Texts are equal without the spaces around them, and with accents of one character or two, as ids are.
    """
    distinct, codes = np.unique(np.asarray(names), return_inverse=True)
    codes = codes.reshape(-1)
    if distinct.dtype.kind in "OSU":
        plain = [plain_text(name) for name in distinct.tolist()]
        codes = np.unique(np.asarray(plain), return_inverse=True)[1].reshape(-1)[codes]
    return torch.from_numpy(codes.astype(np.int64))


def is_missing(value: object) -> bool:
    """Return whether a value is no class: empty, NaN, or what tables write for a missing value.

    Example:
        >>> from intrinsic_clip.data.formats.class_labels import is_missing
        >>> [is_missing(value) for value in ("", "NA", None, float("nan"), "cat", 0)]
        [True, True, True, True, False, False]
    """
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return text.strip() in MISSING if isinstance(text, str) else text is None or text != text


def require_classes(values: Sequence[object], subject: str = "", called: Called = "a class") -> None:
    """Check that each row has a class.

    Args:
        values: a class per row.
        subject: of the message, where it is not the file.
        called: the name of a class in the message; of a group it is an id.

    Raises:
        ConfigError: some rows have none; it says how many.
    """
    missing = sum(map(is_missing, values))
    if missing:
        raise ConfigError(f"{subject}lacks {called} in {missing:,} of {len(values):,} rows")


def read_labels(path: Path, key: Key, rows: int | None = None) -> Tensor:
    """Read classes `(n,)` int64 from a column of a table, or from an array `(n,)` or `(n, 1)` of numbers or names.

    Args:
        path: the file; its extension says how it is read.
        key: the array or column of a file that holds several.
        rows: the number of classes that belong to the data, which tells a heading from a class; None: unknown.

    Raises:
        ConfigError: there is no such file, it is damaged, or it does not hold one class per row.
    """
    return class_codes(read_label_values(path, key, rows))


def read_label_values(
    path: Path, key: Key, rows: int | None = None, called: Called = "a class"
) -> Sequence[object] | np.ndarray:
    """Read classes or ids as the file has them: numbers of an array, or texts of a table.

    Args:
        path, key, rows: as for `read_labels`.
        called: as for `require_classes`.

    Raises:
        ConfigError: as `read_labels` does.
    """
    try:
        require_regular(path)
    except OSError as error:
        raise ConfigError((error.strerror or "cannot be read").lower()) from error
    if path.suffix.lower() in TABLES:
        return _column(path, key, rows, called)
    if path.suffix.lower() == ".npy":
        key.refuse(path.suffix)
    if path.suffix.lower() in (".npy", ".npz"):
        return _array(path, key, called)
    if path.suffix.lower() == ".safetensors":
        tensor, _ = read_safetensors(path, key)
        return _classes(tensor.double().numpy() if tensor.is_floating_point() else tensor.numpy(), called)
    return _classes(read_array(path, key)[0].numpy(), called)


def _column(path: Path, key: Key, rows: int | None, called: Called) -> list[str]:
    """Return the class of each row as text."""
    try:
        if path.suffix.lower() in PACKED:
            table = read_packed(path)
            names = [str(name) for name in table.columns]
            columns = [
                column.astype(object).where(column.notna(), "").tolist() for _, column in table.items()
            ]
        else:
            names, columns = _text_columns(path, key, rows)
    except FileNotFoundError as error:
        raise ConfigError("no such file or directory") from error
    except OSError as error:
        raise ConfigError((error.strerror or "damaged, or not a table").lower()) from error
    offered = [name for name in names if name and not name.startswith("Unnamed: ")]  # pandas' own row numbers
    chosen = key.choose(names if key.value in names else offered, "columns")
    column = columns[names.index(chosen)]
    require_classes(column, f"column {chosen!r} ", called)
    return [str(value) for value in column]


def _text_columns(path: Path, key: Key, rows: int | None) -> tuple[list[str], list[list[str]]]:
    """Return the names and the columns of a text table; without a heading the names are 1, 2, …."""
    lines, _ = read_rows(path, skip_blank=False)
    if path.suffix.lower() == ".txt" and len({len(row.fields) for row in lines}) > 1:
        lines, _ = read_rows(path, NO_DELIMITER, quotes=False, skip_blank=False)  # names with commas in them
    width = len(lines[0].fields)
    if width > 1:
        lines = [row for row in lines if row.fields != [""]]
    check_widths(lines[1:], width, "the header")
    names = [value.strip() for value in lines[0].fields]
    if _is_headed(lines, names, key, rows):
        lines = lines[1:]
    else:
        names = [str(place + 1) for place in range(width)]
    return names, [[row.fields[place].strip() for row in lines] for place in range(width)]


def _is_headed(lines: list[Row], names: list[str], key: Key, rows: int | None) -> bool:
    """Return whether the first line names the columns; where it may be a class, the number of lines decides."""
    known = CLASS_NAMES | INDEX_NAMES | TEXT_NAMES
    if key.value in names or any(name.lower() in known for name in names):
        return True
    headed = is_header(lines[:1000], ".")
    if len(names) > 1 or rows is None or is_number(names[0]) != all(map(is_number, _firsts(lines[1:1000]))):
        return headed
    return rows == len(lines) - 1 or (headed and rows != len(lines))


def _firsts(lines: list[Row]) -> list[str]:
    return [row.fields[0].strip() for row in lines]


def _array(path: Path, key: Key, called: Called) -> np.ndarray:
    """Read an array of numbers or names without pickle; `read_array` refuses names."""
    try:
        loaded = mapped_array(path, "r")
        array = loaded if isinstance(loaded, np.ndarray) else _member(path, key)
    except OSError as error:
        raise ConfigError((error.strerror or "damaged, or not a NumPy file").lower()) from error
    except ConfigError:
        raise
    except Exception as error:  # zipfile and NumPy raise many types on damaged files
        raise ConfigError(f"damaged, or holds Python objects ({str(error).splitlines()[0]})") from error
    return _classes(array, called)


def _member(path: Path, key: Key) -> np.ndarray:
    """Return an array of an .npz, whose size is compared with that of the archive."""
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        return read_npz_member(archive, f"{key.choose(names, 'arrays')}.npy")


def _classes(array: np.ndarray, called: Called) -> np.ndarray:
    """Return the classes in an array `(n,)` or `(n, 1)`, one per row."""
    one, several = WORDS[called]
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] != 1):
        raise ConfigError(f"holds shape {array.shape}; must be (rows,): one {one} per row")
    if array.dtype.kind not in "iubfUS":
        raise ConfigError(f"holds {array.dtype}; must hold {several}, numbers or names")
    classes = array.reshape(-1)
    require_classes(classes.tolist(), called=called)
    return classes
