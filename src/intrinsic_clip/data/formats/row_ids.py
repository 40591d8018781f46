"""Find what names the rows of a file beside its embeddings: columns of ids, names or texts, or arrays of such."""

import zipfile
import zlib
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intrinsic_clip.data.formats.arrow_files import is_arrow, is_stream, schema_of
from intrinsic_clip.data.formats.arrow_rows import all_batches
from intrinsic_clip.data.formats.column_choice import ColumnChoice
from intrinsic_clip.data.formats.column_roles import ID_ENDINGS, INDEX_NAMES, TEXT_NAMES
from intrinsic_clip.data.formats.dataset_folders import data_files, is_dataset_folder
from intrinsic_clip.data.formats.npz_members import read_npz_member
from intrinsic_clip.data.formats.number_tables import read_columns, recognised
from intrinsic_clip.data.formats.packed_tables import PACKED
from intrinsic_clip.data.formats.table_arrays import TEXTS
from intrinsic_clip.data.formats.vector_indexes import LANCE, lance_batches, lance_table
from intrinsic_clip.errors import ConfigError

TIMES = {"timestamp", "time", "date", "datetime"}
COUNTERS = {
    "level_0",
    "rownames",
    "row_number",
    "no",
    "nr",
    "num",
}  # which number the rows of the file itself
EXACT = 2**53  # whole numbers below are floats without rounding
NAMES = (INDEX_NAMES | TEXT_NAMES) - TIMES - COUNTERS


def id_names(path: Path, drop: Sequence[str | int] = ()) -> list[str]:
    """Return the lower-case names of what `row_ids` may read, without reading any rows.

    Args:
        path: as for `row_ids`.
        drop: columns to leave out, by name, place or pattern.
    """
    suffix = path.suffix.lower()
    names: Sequence[str] = []
    if suffix == ".npz":
        try:
            with zipfile.ZipFile(path) as archive:
                names = [name.removesuffix(".npy") for name in archive.namelist()]
        except zipfile.BadZipFile:
            return []
        return [name.lower() for name in names if is_id(name)]
    if _is_packed(path):
        names = _schema(path).names
    elif suffix in TEXTS:
        names = recognised(path)[1].header or []
    kept, _ = ColumnChoice(drop=drop).places(names)
    return [names[place].strip().lower() for place in kept if is_id(names[place])]


def row_ids(path: Path, only: Container[str] | None = None) -> dict[str, np.ndarray]:
    """Return the columns or arrays that name the rows of a file, `(n,)` each, by their lower-case name; bytes as texts.

    Args:
        path: a file, or the folder of a data set, that `read_array` or `open_array` has read.
        only: lower-case names to read; None: all.

    Returns:
        Nothing for files that hold one array, and for tables without such columns; the first of several of one name.
    """
    ids: dict[str, np.ndarray] = {}
    for name, values in _ids(path, only).items():
        ids.setdefault(name.strip().lower(), as_texts(values))  # the first of `id` and `ID`
    return {name: values for name, values in ids.items() if only is None or name in only}


def ids_as_written(path: Path) -> dict[str, np.ndarray]:
    """Return what names the rows of a file under the names and with the values that it has, to be written again.

    In text tables `007` and `NA` stay as they are; whole numbers that are written in the usual way become such.
    """
    return _ids(path, None, as_texts=True)


def as_texts(ids: np.ndarray) -> np.ndarray:
    """Return ids with bytes, as HDF5 and binary columns have them, as the texts that these are in UTF-8."""
    if ids.dtype.kind == "S" or (ids.dtype.kind == "O" and any(isinstance(each, bytes) for each in ids)):
        texts = [
            each.decode("utf-8", "replace") if isinstance(each, bytes) else each for each in ids.tolist()
        ]
        return np.array(texts, dtype=object)
    return ids


def _ids(path: Path, only: Container[str] | None, as_texts: bool = False) -> dict[str, np.ndarray]:
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return _members(path)
    if _is_packed(path):
        return _packed(path, only)
    return _text(path, only, as_texts) if suffix in TEXTS else {}


def is_id(name: str) -> bool:
    """Return whether a column of this name names rows: `id`, `image_id`, `file_name`, `caption`.

    Example:
        >>> from intrinsic_clip.data.formats.row_ids import is_id
        >>> [is_id(name) for name in ("image_id", "Caption", "timestamp", "Unnamed: 0", "d0")]
        [True, True, False, False, False]
    """
    plain = name.strip().lower().replace(" ", "_")
    if name.startswith(("Unnamed:", "__index_level_")) or plain in TIMES | COUNTERS:
        return False
    return plain in NAMES or ID_ENDINGS.fullmatch(name) is not None


def _wanted(names: Sequence[str], only: Container[str] | None) -> list[int]:
    return [
        place
        for place, name in enumerate(names)
        if is_id(name) and (only is None or name.strip().lower() in only)
    ]


def _is_packed(path: Path) -> bool:
    """Return whether a path has Arrow's columns: a Parquet or Arrow file, the folder of a data set, a Lance table."""
    if path.is_dir():
        return _is_lance(path) or is_dataset_folder(path)
    return path.suffix.lower() in PACKED


def _is_lance(path: Path) -> bool:
    return path.suffix.lower() == LANCE


def _schema(path: Path) -> Any:
    """Return the schema of a Parquet or Arrow file, of the folder of a data set, or of a Lance table."""
    import pyarrow.parquet as pq

    if _is_lance(path):
        return lance_table(path).schema
    if path.is_dir():
        return schema_of(data_files(path)[0])
    return pq.read_schema(path) if path.suffix.lower() == ".parquet" else _read_arrow(path).schema


def _read_arrow(path: Path, columns: list[str] | None = None) -> Any:
    """Return an Arrow file's table, mapped into memory: Feather, or an IPC file or stream."""
    import pyarrow as pa
    import pyarrow.feather as feather

    if not (is_arrow(path) and is_stream(path)):
        return feather.read_table(path, columns=columns, memory_map=True)
    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_stream(file).read_all()
    return table if columns is None else table.select(columns)


def _read_folder(path: Path, columns: list[str]) -> Any:
    """Return some columns of a data set's folder, or of a Lance table, as one table."""
    import pyarrow as pa

    schema = _schema(path)
    if _is_lance(path):
        batches = lance_batches(lance_table(path), columns)
    else:
        batches = (batch.select(columns) for batch in all_batches(data_files(path), columns))
    return pa.Table.from_batches(batches, pa.schema([schema.field(name) for name in columns]))


def _packed(path: Path, only: Container[str] | None) -> dict[str, np.ndarray]:
    """Read the columns of ids alone, without the embeddings beside them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(path)
    names = [schema.names[place] for place in _wanted(schema.names, only)]
    names = [name for name in names if schema.names.count(name) == 1]  # others cannot be told apart
    names = [name for name in names if not pa.types.is_nested(schema.field(name).type)]
    if not names:
        return {}
    packed = pq.read_table if path.suffix.lower() == ".parquet" else _read_arrow
    read = _read_folder if path.is_dir() else packed
    table = read(path, columns=names)
    # where some are missing pandas has whole numbers as floats, which cannot tell many ids of 64 bits apart
    columns = {name: table[name].to_pandas(integer_object_nulls=True) for name in names}
    return {name: column.to_numpy() for name, column in columns.items()}


def _text(path: Path, only: Container[str] | None, as_texts: bool) -> dict[str, np.ndarray]:
    """Read the columns of ids of a text table; without any, the numbers beside them need not be read."""
    file, dialect = recognised(path)
    names = dialect.header or []
    places = _wanted(names, only)
    if not places:
        return {}
    columns = [column.to_numpy() for column in read_columns(file, dialect, places, as_texts)]
    if not as_texts and any(_rounded(column) for column in columns):
        return _text(path, only, as_texts=True)
    if as_texts:
        columns = [_whole(texts) for texts in columns]
    ids: dict[str, np.ndarray] = {}
    for place, column in zip(places, columns, strict=True):
        ids.setdefault(names[place].strip(), column)
    return ids


def _rounded(column: np.ndarray) -> bool:
    """Return whether whole numbers have become floats that cannot tell them apart, since some are missing."""
    return column.dtype.kind == "f" and bool(np.nanmax(np.abs(column), initial=0) >= EXACT)


def _whole(texts: np.ndarray) -> np.ndarray:
    """Return texts as whole numbers if nothing is lost by that."""
    try:
        numbers = texts.astype(np.int64)
    except (ValueError, OverflowError):
        return texts
    return numbers if (numbers.astype(str) == texts).all() else texts


def _members(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of one axis that have such a name; one that holds Python objects is left alone."""
    ids = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                name = member.removesuffix(".npy")
                if not (is_id(name) and member.endswith(".npy")):
                    continue
                try:
                    array = read_npz_member(archive, member)
                except (ConfigError, ValueError, EOFError):
                    continue
                if array.ndim == 1:
                    ids[name] = array
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        return {}
    return ids
