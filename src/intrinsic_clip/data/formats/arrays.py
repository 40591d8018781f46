"""Read embeddings from .npy, .npz, .safetensors, .parquet and .csv files, one row per item.

Every reader returns a `(n, d)` tensor of float32, or of float64 where the file holds more digits than that, or raises
ConfigError with one line that says what is wrong. Content that could run code is never loaded.
"""

import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.data.formats.npz_members import read_npz_member
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.regular_files import require_regular

if TYPE_CHECKING:
    import pandas as pd

NPY_MAGIC = b"\x93NUMPY"
SMALL = (
    torch.float16,
    torch.bfloat16,
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
)  # float32 holds them
PARQUET_HINT = "reading .parquet needs pyarrow: pip install pyarrow"


@dataclass(frozen=True)
class Key:
    """The name of an array in an .npz or .safetensors, or of a column of lists in a .parquet.

    Attributes:
        value: the name; None if the file holds only one.
        option: name of the setting, for messages.
    """

    value: str | None = None
    option: str = "key"

    def choose(self, names: list[str], kind: str) -> str:
        """Return the requested name, or the only one; `kind` is the plural used in messages.

        Raises:
            ConfigError: there is no such name, or several and none requested.
        """
        if self.value is None and len(names) == 1:
            return names[0]
        offer = f"{kind}: {', '.join(sorted(names)) or 'none'}"
        if self.value is None:
            raise ConfigError(f"holds {len(names)} {offer}; {self.option}=… says which")
        if self.value not in names:
            raise ConfigError(f"holds no {self.value!r} ({self.option}); {offer}")
        return self.value


def read_array(path: Path, key: Key = Key()) -> tuple[Tensor, list[str]]:
    """Return the array in a file as `(n, d)`, and notes for the user on how the file was interpreted.

    Raises:
        ConfigError: there is no such file, it is damaged, or it does not hold one matrix of numbers.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ConfigError(f"{path.suffix or 'no'} extension, which is not read; {', '.join(READERS)} are")
    if key.value is not None and reader not in (_read_npz, _read_safetensors, _read_parquet):
        raise ConfigError(f"{key.option}={key.value}: {path.suffix} holds one array, so leave it out")
    try:
        require_regular(path)
        array, notes = reader(path, key)
        return as_rows(array), notes
    except MemoryError as error:
        raise ConfigError(f"more than fits into memory ({error})") from error
    except OSError as error:
        raise ConfigError((error.strerror or _first_line(error)).lower()) from error


def as_rows(array: np.ndarray | Tensor) -> Tensor:
    """Convert a matrix of real numbers to `(n, d)` float32 or float64.

    Raises:
        ConfigError: not two axes, no row, no column, or no real numbers.
    """
    if isinstance(array, np.ndarray):
        if array.dtype.kind not in "fiub":
            raise ConfigError(f"holds {array.dtype} where real numbers are wanted")
        array = _as_tensor(array)
    if array.is_complex():
        raise ConfigError(f"holds {array.dtype} where real numbers are wanted")
    if array.ndim != 2 or 0 in array.shape:
        raise ConfigError(f"holds shape {tuple(array.shape)} where (rows, dimensions) is wanted")
    if array.dtype in (torch.float32, torch.float64):
        return array
    small = array.dtype in SMALL or array.is_floating_point()
    return array.to(torch.float32 if small else torch.float64)


def _as_tensor(array: np.ndarray) -> Tensor:
    """Convert an array to a tensor, which shares its memory where PyTorch knows the type and byte order."""
    size = array.dtype.itemsize
    if (array.dtype.kind == "f" and size > 8) or (array.dtype.kind == "u" and size > 1):
        array = array.astype(np.float64)
    elif not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return torch.from_numpy(np.require(array, requirements="W"))  # pandas' own memory is read-only


def _read_npy(path: Path, key: Key) -> tuple[np.ndarray, list[str]]:
    """Map the file into memory, so that rows that are converted or left out are never held twice."""
    with path.open("rb") as file:
        start = file.read(len(NPY_MAGIC))
    if start != NPY_MAGIC:
        raise ConfigError("not an .npy file, despite its name (numpy.save writes one)")
    try:
        # Copy-on-write, since PyTorch wants memory that it may write to; the file stays as it is.
        return np.load(path, mmap_mode="c", allow_pickle=False), []
    except (ValueError, EOFError) as error:
        raise ConfigError(_numpy_reason(error)) from error


def _read_npz(path: Path, key: Key) -> tuple[np.ndarray, list[str]]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
            return read_npz_member(archive, f"{key.choose(names, 'arrays')}.npy"), []
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise ConfigError(f"damaged, or not an .npz file ({error})") from error
    except (ValueError, EOFError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(_numpy_reason(error)) from error


def _numpy_reason(error: Exception) -> str:
    if "allow_pickle" in str(error) or "Python objects" in str(error):
        return "holds Python objects where numbers are wanted; they could run code, so they are not read"
    return f"damaged or cut short ({error or type(error).__name__})"


def _read_safetensors(path: Path, key: Key) -> tuple[Tensor, list[str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            return file.get_tensor(key.choose(list(file.keys()), "tensors")), []
    except SafetensorError as error:
        raise ConfigError(f"damaged, or not a .safetensors file ({error})") from error


def _read_parquet(path: Path, key: Key) -> tuple[np.ndarray, list[str]]:
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except ImportError as error:
        raise ConfigError(PARQUET_HINT) from error
    except (ValueError, OSError) as error:  # pyarrow's errors are of these types
        raise ConfigError(f"damaged, or not a .parquet file ({_first_line(error)})") from error
    names = [str(name) for name in table.columns]
    lists = [place for place in range(len(names)) if _holds_lists(table.iloc[:, place])]
    if key.value is None and not lists:
        return _numeric_columns(table), []
    chosen = key.choose([names[place] for place in lists], "columns of lists")
    rows = table.iloc[:, names.index(chosen)]
    left_out = [name for name in names if name != chosen]
    notes = [f"column {chosen!r} is read, {', '.join(left_out)} left out"] if left_out else []
    return _stacked(rows, chosen), notes


def _holds_lists(column: "pd.Series") -> bool:
    return bool(len(column)) and any(isinstance(value, list | np.ndarray) for value in column.iloc[:100])


def _stacked(rows: "pd.Series", name: str) -> np.ndarray:
    lengths = [len(row) if isinstance(row, list | np.ndarray) else 0 for row in rows]
    if len(set(lengths)) > 1:
        raise ConfigError(
            f"column {name!r} holds lists of {min(lengths)} to {max(lengths)} numbers; all must be of one length"
        )
    return np.stack([np.asarray(row) for row in rows])


def _read_csv(path: Path, key: Key) -> tuple[np.ndarray, list[str]]:
    import pandas as pd

    try:
        with path.open(encoding="utf-8-sig") as file:
            header = _is_header(file.readline().strip().split(","))
        table = pd.read_csv(path, header=0 if header else None, low_memory=False)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ConfigError(f"not a table of comma-separated numbers ({_first_line(error)})") from error
    if not len(table):
        raise ConfigError("holds no rows")
    notes = ["the first line is read as a header"] if header else []
    if table.shape[1] > 1 and _names_rows(table.iloc[:, 0]):
        table = table.iloc[:, 1:]
        notes.append("the first column names the rows and is left out")
    elif table.shape[1] > 1 and _counts_rows(table.iloc[:, 0]):
        table = table.iloc[:, 1:]
        notes.append("the first column counts the rows and is left out")
    return _numeric_columns(table), notes


def _is_header(fields: list[str]) -> bool:
    """Return whether a first line names columns: a field is no number, or they count 0, 1, 2, … as pandas does."""
    names = [field.strip().strip('"') for field in fields]
    named = names[1:] if names[0] == "" else names
    counts = len(named) > 1 and named == [str(place) for place in range(len(named))]
    return counts or not all(map(_is_number, names))


def _is_number(text: str) -> bool:
    """Return whether a field is a number or empty, which stands for a missing number."""
    try:
        float(text or "nan")
    except ValueError:
        return False
    return True


def _names_rows(column: "pd.Series") -> bool:
    """Return whether a column holds the row names that R and pandas write: text under an empty heading."""
    return str(column.name).startswith("Unnamed: ") and column.dtype.kind not in "fiub"


def _counts_rows(column: "pd.Series") -> bool:
    """Return whether a column holds row numbers, as pandas and spreadsheets write them, from 0 or 1."""
    if column.dtype.kind != "i" or column.iloc[:1].tolist() not in ([0], [1]):
        return False
    return bool((column.to_numpy() == np.arange(len(column)) + column.iloc[0]).all())


def _numeric_columns(table: "pd.DataFrame") -> np.ndarray:
    for place, name in enumerate(table.columns):
        column = table.iloc[:, place]
        if column.dtype.kind not in "fiub":
            texts = (str(value) for value in column.head(1000) if isinstance(value, str))
            example = next((text for text in texts if not _is_number(text)), None)
            detail = f"for instance {example[:40]!r}" if example else str(column.dtype)
            raise ConfigError(f"column {str(name)!r} holds other things than numbers ({detail})")
    array = table.to_numpy()
    return table.to_numpy(np.float64, na_value=np.nan) if array.dtype == object else array


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


Reader = Callable[[Path, Key], tuple[np.ndarray | Tensor, list[str]]]
READERS: dict[str, Reader] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
    ".parquet": _read_parquet,
    ".csv": _read_csv,
}
