"""Write rows in blocks to .npy, .npz, .safetensors, .parquet, .feather, .csv and .tsv files, each in one step.

What names the rows is written beside them where the format has room for it.
"""

import csv
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import numpy as np

from intrinsic_clip.data.formats.row_ids import as_texts
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.atomic import writing

if TYPE_CHECKING:
    import pandas as pd

Add = Callable[[np.ndarray], None]
Ids = Mapping[str, np.ndarray]
WITH_IDS = (".npz", ".parquet", ".feather", ".csv", ".tsv")
SAFETENSORS = {"float16": "F16", "float32": "F32", "float64": "F64"}


@contextmanager
def writing_rows(
    path: Path, shape: tuple[int, int], dtype: str, name: str, ids: Ids | None = None
) -> Iterator[Add]:
    """Open a file, and give a function that adds a block of rows; the file is there once the block ends.

    Args:
        path: of the file; its extension says how it is written.
        shape: rows and columns of the whole.
        dtype: float16, float32 or float64.
        name: of the array in an .npz or .safetensors, and of the column of lists in a .parquet or .feather; the columns
            of a .csv are called `<name>_0`, `<name>_1`, ….
        ids: of the rows, `(n,)` each, by name; written in formats of `WITH_IDS`.

    Raises:
        ConfigError: no such extension, or a package is missing.
        OSError: the file cannot be written; it names the file.
    """
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise ConfigError(f"{path.suffix or 'no'} extension, which is not written; {', '.join(WRITERS)} are")
    with (
        writing(path) as file,
        writer(file, shape, np.dtype(dtype).newbyteorder("<"), name, ids or {}) as add,
    ):
        yield add


@contextmanager
def _npy(file: IO[bytes], shape: tuple[int, int], dtype: np.dtype, name: str, ids: Ids) -> Iterator[Add]:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    yield _raw(file, dtype)


@contextmanager
def _npz(file: BinaryIO, shape: tuple[int, int], dtype: np.dtype, name: str, ids: Ids) -> Iterator[Add]:
    with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        for key, values in ids.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, _without_objects(values), allow_pickle=False)
        with (
            archive.open(f"{name}.npy", "w", force_zip64=True) as member,
            _npy(member, shape, dtype, name, ids) as add,
        ):
            yield add


def _without_objects(values: np.ndarray) -> np.ndarray:
    """Return values as an array that is stored without pickles: objects as texts, missing ones as empty ones."""
    if values.dtype.kind != "O":
        return values
    return np.array(["" if value is None or value != value else str(value) for value in as_texts(values)])


@contextmanager
def _safetensors(
    file: BinaryIO, shape: tuple[int, int], dtype: np.dtype, name: str, ids: Ids
) -> Iterator[Add]:
    size = shape[0] * shape[1] * dtype.itemsize
    entry = {"dtype": SAFETENSORS[dtype.name], "shape": list(shape), "data_offsets": [0, size]}
    header = json.dumps({name: entry}).encode()
    header += b" " * (-len(header) % 8)  # the numbers begin at a multiple of 8 bytes
    file.write(len(header).to_bytes(8, "little") + header)
    yield _raw(file, dtype)


@contextmanager
def _arrow(
    file: BinaryIO, shape: tuple[int, int], dtype: np.dtype, name: str, ids: Ids, *, parquet: bool
) -> Iterator[Add]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        suffix = ".parquet" if parquet else ".feather"
        raise ConfigError(f"writing {suffix} needs pyarrow: pip install pyarrow") from error
    kind = pa.list_(pa.from_numpy_dtype(np.dtype(dtype.name)), shape[1])
    named = pa.table({key: pa.array(values, from_pandas=True) for key, values in ids.items()})
    schema = pa.schema([*named.schema, (name, kind)])
    start = 0

    def add(rows: np.ndarray) -> None:
        nonlocal start
        flat = pa.array(np.ascontiguousarray(rows).reshape(-1))
        lists = pa.FixedSizeListArray.from_arrays(flat, shape[1])
        columns = [column.combine_chunks() for column in named.slice(start, len(rows)).columns]
        writer.write_table(pa.table([*columns, lists], schema=schema))
        start += len(rows)

    with pq.ParquetWriter(file, schema) if parquet else pa.ipc.new_file(file, schema) as writer:
        yield add


@contextmanager
def _text(
    file: BinaryIO, shape: tuple[int, int], dtype: np.dtype, name: str, ids: Ids, *, delimiter: str
) -> Iterator[Add]:
    import pandas as pd

    numbers = [f"{name}_{place}" for place in range(shape[1])]
    start = 0

    def write(table: "pd.DataFrame", header: bool) -> None:
        # of line ends the module csv quotes only its own, and readers take \r for one, too
        returns = any(table[key].astype(str).str.contains("\r", regex=False).any() for key in ids)
        quoting = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
        text = table.to_csv(sep=delimiter, header=header, index=False, lineterminator="\n", quoting=quoting)
        file.write(text.encode())

    def add(rows: np.ndarray) -> None:
        nonlocal start
        table = pd.DataFrame(rows, columns=numbers)
        for place, (key, values) in enumerate(ids.items()):
            table.insert(place, key, as_texts(values[start : start + len(rows)]))
        write(table, False)
        start += len(rows)

    write(pd.DataFrame(columns=[*ids, *numbers]), True)

    yield add


def _raw(file: IO[bytes], dtype: np.dtype) -> Add:
    """Return a function that writes the bytes of rows."""

    def add(rows: np.ndarray) -> None:
        file.write(np.ascontiguousarray(rows, dtype).tobytes())

    return add


Writer = Callable[[Any, tuple[int, int], np.dtype, str, Ids], AbstractContextManager[Add]]
WRITERS: dict[str, Writer] = {
    ".npy": _npy,
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".parquet": partial(_arrow, parquet=True),
    ".feather": partial(_arrow, parquet=False),
    ".csv": partial(_text, delimiter=","),
    ".tsv": partial(_text, delimiter="\t"),
}
