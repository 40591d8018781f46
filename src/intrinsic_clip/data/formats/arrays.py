"""Read embeddings from arrays, tables, data sets, shards and vector stores, one row per item.

`read_array` returns a `(n, d)` tensor of float32, or of float64 where the file holds more digits than that, and
`open_array` rows that are read as they are needed. Both raise ConfigError with one line that says what is wrong.
Content that could run code is never loaded.
"""

import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.arrow_rows import arrow_rows
from intrinsic_clip.data.formats.batched_rows import BatchedRows, whole
from intrinsic_clip.data.formats.column_choice import ColumnChoice
from intrinsic_clip.data.formats.dataset_folders import dataset_rows, is_dataset_folder
from intrinsic_clip.data.formats.mapped_rows import MappedRows, mapped_array
from intrinsic_clip.data.formats.npz_members import read_header, read_npz_member
from intrinsic_clip.data.formats.npz_rows import npz_rows
from intrinsic_clip.data.formats.number_types import FLOATING, floating
from intrinsic_clip.data.formats.parquet_rows import parquet_rows
from intrinsic_clip.data.formats.row_ids import is_id
from intrinsic_clip.data.formats.safetensors_rows import safetensors_rows
from intrinsic_clip.data.formats.shard_rows import is_shards, shard_rows
from intrinsic_clip.data.formats.shards import expand
from intrinsic_clip.data.formats.table_arrays import TABLES, TEXTS, read_table_array
from intrinsic_clip.data.formats.text_rows import text_rows
from intrinsic_clip.data.formats.vector_indexes import SUFFIXES as INDEXES
from intrinsic_clip.data.formats.vector_indexes import index_rows
from intrinsic_clip.dimension.row_source import RowSource
from intrinsic_clip.errors import ConfigError, first_line, system_reason
from intrinsic_clip.runs.regular_files import require_regular

POINTER = b"version https://git-lfs"
SPARSE = {"data", "shape", "format"}  # members of what scipy.sparse.save_npz writes
ONLY = Key()
NPY_MAGIC = b"\x93NUMPY"


def open_array(
    path: Path, key: Key = ONLY, choice: ColumnChoice | None = None
) -> tuple[RowSource, list[str]] | None:
    """Return the rows of a file, a folder or shards, read as they are needed, and notes.

    Args:
        path, key, choice: as for `read_array`.

    Returns:
        None where the file is to be read whole: short text tables, tables of whole numbers, and where only the reader
        of whole files can say what is wrong.

    Raises:
        ConfigError: as `read_array` does.
    """
    choice = choice or ColumnChoice()
    try:
        if is_collection(path):
            return _open_collection(path, key, choice)
        suffix = path.suffix.lower()
        if suffix not in OPENERS:
            return None
        require_regular(path)
        _refuse_pointer(path)
        opened = OPENERS[suffix](path, key, choice)
        return None if opened is not None and 0 in opened[0].shape else opened
    except OSError as error:
        raise ConfigError(system_reason(error)) from error


def is_collection(path: Path) -> bool:
    """Return whether a path names what is only read row by row: shards, a folder of a data set, a vector store."""
    return is_shards(path) or path.suffix.lower() in INDEXES or path.is_dir()


def _open_collection(path: Path, key: Key, choice: ColumnChoice) -> tuple[RowSource, list[str]]:
    """Return the rows of shards, of a data set's folder or of a vector store, and notes."""
    rows: BatchedRows
    if is_shards(path):
        rows, notes = shard_rows(expand(str(path), ""), key)
    elif path.suffix.lower() in INDEXES:
        if path.suffix.lower() == ".lance":
            path.stat()
        else:
            require_regular(path)
            _refuse_pointer(path)
        rows, notes = index_rows(path, key, choice)
    elif is_dataset_folder(path):
        rows, notes = dataset_rows(path, key, choice)
    else:
        tables = sorted(each.name for each in path.glob("*.lance"))
        hint = f"; its tables are {', '.join(tables)}" if tables else ""
        raise ConfigError(
            f"is a directory, and no data set that save_to_disk of Hugging Face's datasets wrote{hint}"
        )
    if 0 in rows.shape:
        raise ConfigError(f"holds shape {rows.shape} where (rows, dimensions) is wanted")
    return rows, notes


def _open_npy(path: Path, key: Key, choice: ColumnChoice) -> tuple[RowSource, list[str]] | None:
    if key.value is not None:
        return None
    array, notes = _read_npy(path, key)
    if array.ndim != 2 or 0 in array.shape or array.dtype.name not in FLOATING:
        return None
    if not array.dtype.isnative or not isinstance(array, np.memmap):
        return None
    return MappedRows(array), notes


def _open_npz(path: Path, key: Key, choice: ColumnChoice) -> tuple[RowSource, list[str]] | None:
    with _npz_errors(), zipfile.ZipFile(path) as archive:
        member, notes = _npz_member(archive, key)
        rows = npz_rows(path, archive, member)
    return None if rows is None else (rows, notes)


def _open_safetensors(path: Path, key: Key, choice: ColumnChoice) -> tuple[RowSource, list[str]] | None:
    with _opened_safetensors(path) as file:
        name = key.choose(list(file.keys()), "tensors")
    rows = safetensors_rows(path, name)
    return None if rows is None else (rows, [])


Opener = Callable[[Path, Key, ColumnChoice], tuple[RowSource, list[str]] | None]
OPENERS: dict[str, Opener] = {
    ".npy": _open_npy,
    ".npz": _open_npz,
    ".safetensors": _open_safetensors,
    ".parquet": parquet_rows,
    **dict.fromkeys((".feather", ".arrow", ".ipc"), arrow_rows),
    **dict.fromkeys(TEXTS, text_rows),
}


def read_array(path: Path, key: Key = ONLY, choice: ColumnChoice | None = None) -> tuple[Tensor, list[str]]:
    """Return the array in a file as `(n, d)`, and notes for the user on how the file was interpreted.

    Args:
        path: the file; its extension says how it is read.
        key: the array of a file that holds several, or the column of lists of a table.
        choice: the columns of a table to read; None: those that are dimensions.

    Raises:
        ConfigError: there is no such file, it is damaged, or it does not hold one matrix of numbers.
    """
    suffix = path.suffix.lower()
    if is_collection(path) and suffix not in READERS and suffix not in TABLES:
        return read_named(path, key, choice)[:2]
    if suffix not in READERS and suffix not in TABLES:
        listed = ", ".join([*READERS, *TABLES, *INDEXES, ".tar"])
        raise ConfigError(f"{path.suffix or 'no'} extension, which is not read; {listed} are")
    if suffix == ".npy":
        key.refuse(path.suffix)
    array: np.ndarray | Tensor
    try:
        require_regular(path)
        _refuse_pointer(path)
        if suffix in TABLES:
            array, notes = read_table_array(path, key, choice or ColumnChoice())
        else:
            array, notes = READERS[suffix](path, key)
        return as_rows(array), notes
    except MemoryError as error:
        raise ConfigError(f"more than fits into memory ({error})") from error
    except OSError as error:
        raise ConfigError(system_reason(error)) from error


def read_named(
    path: Path, key: Key = ONLY, choice: ColumnChoice | None = None
) -> tuple[Tensor, list[str], Sequence[str | int] | None]:
    """Return what `read_array` does, and the ids of the rows where they are read together: of samples and of vectors.

    Args:
        path, key, choice: as for `read_array`.

    Raises:
        ConfigError: as `read_array` does.
    """
    opened = open_array(path, key, choice) if is_collection(path) else None
    if opened is None:
        return *read_array(path, key, choice), None
    return as_rows(whole(opened[0])), opened[1], getattr(opened[0], "ids", None)


def _refuse_pointer(path: Path) -> None:
    """Refuse what Git leaves in the place of a large file that has not been fetched."""
    with path.open("rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise ConfigError("a pointer of Git LFS, not the file itself; git lfs pull fetches it")


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
    return array.to(torch.float32 if array.is_floating_point() else floating(array.dtype))


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
        return mapped_array(path, "c"), []
    except ConfigError:
        raise
    except (ValueError, EOFError) as error:
        raise ConfigError(_numpy_reason(error)) from error


def _read_npz(path: Path, key: Key) -> tuple[np.ndarray, list[str]]:
    with _npz_errors(), zipfile.ZipFile(path) as archive:
        member, notes = _npz_member(archive, key)
        return read_npz_member(archive, member), notes


def _npz_member(archive: zipfile.ZipFile, key: Key) -> tuple[str, list[str]]:
    """Return the name of the array to read, and notes: where one is left beside those that name its rows, that one."""
    names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    if set(names) >= SPARSE:
        raise ConfigError("holds a sparse matrix of SciPy; numpy.save its .toarray()")
    ids = [name for name in names if is_id(name) and _is_column(archive, name)]
    if key.value is None and len(names) == len(ids) + 1 > 1:
        (rest,) = set(names) - set(ids)
        return f"{rest}.npy", [f"array {rest!r} is read, {', '.join(ids)} left out"]
    return f"{key.choose(names, 'arrays')}.npy", []


def _is_column(archive: zipfile.ZipFile, name: str) -> bool:
    """Return whether an array of an .npz has one axis, and so may name rows but be no rows."""
    with archive.open(f"{name}.npy") as member:
        return len(read_header(member)[0]) == 1


@contextmanager
def _npz_errors() -> Iterator[None]:
    """Raise ConfigError in place of what a damaged .npz raises."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise ConfigError(f"damaged, or not an .npz file ({first_line(error)})") from error
    except (ValueError, EOFError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(_numpy_reason(error)) from error


def _numpy_reason(error: Exception) -> str:
    if "allow_pickle" in str(error) or "Python objects" in str(error):
        return "holds Python objects where numbers are wanted; they could run code, so they are not read"
    return f"damaged or cut short ({first_line(error)})"


def read_safetensors(path: Path, key: Key) -> tuple[Tensor, list[str]]:
    """Return a tensor of a file as it is stored, and no notes.

    Args:
        path, key: as for `read_array`.

    Raises:
        ConfigError: it is damaged, or holds several tensors, or none of that name.
    """
    with _opened_safetensors(path) as file:
        return file.get_tensor(key.choose(list(file.keys()), "tensors")), []


@contextmanager
def _opened_safetensors(path: Path) -> Iterator[Any]:
    """Open a file whose sizes were found to fit together, or raise ConfigError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise ConfigError(f"damaged, or not a .safetensors file ({error})") from error


Reader = Callable[[Path, Key], tuple[np.ndarray | Tensor, list[str]]]
READERS: dict[str, Reader] = {".npy": _read_npy, ".npz": _read_npz, ".safetensors": read_safetensors}
