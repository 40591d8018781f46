"""Write rows in blocks to .npy, .npz, .safetensors, .parquet, .feather, .csv and .tsv files, each in one step."""

import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import numpy as np

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.atomic import writing

if TYPE_CHECKING:
    import pyarrow as pa

Add = Callable[[np.ndarray], None]
SAFETENSORS = {"float16": "F16", "float32": "F32", "float64": "F64"}


@contextmanager
def writing_rows(path: Path, shape: tuple[int, int], dtype: str, name: str) -> Iterator[Add]:
    """Open a file, and give a function that adds a block of rows; the file is there once the block ends.

    Args:
        path: of the file; its extension says how it is written.
        shape: rows and columns of the whole.
        dtype: float16, float32 or float64.
        name: of the array in an .npz or .safetensors, and of the column of lists in a .parquet or .feather; the columns
            of a .csv are called `<name>_0`, `<name>_1`, ….

    Raises:
        ConfigError: no such extension, or a package is missing.
        OSError: the file cannot be written; it names the file.
    """
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise ConfigError(f"{path.suffix or 'no'} extension, which is not written; {', '.join(WRITERS)} are")
    with writing(path) as file, writer(file, shape, np.dtype(dtype).newbyteorder("<"), name) as add:
        yield add


@contextmanager
def _npy(file: IO[bytes], shape: tuple[int, int], dtype: np.dtype, name: str) -> Iterator[Add]:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    yield _raw(file, dtype)


@contextmanager
def _npz(file: BinaryIO, shape: tuple[int, int], dtype: np.dtype, name: str) -> Iterator[Add]:
    with (
        zipfile.ZipFile(file, "w", allowZip64=True) as archive,
        archive.open(f"{name}.npy", "w", force_zip64=True) as member,
        _npy(member, shape, dtype, name) as add,
    ):
        yield add


@contextmanager
def _safetensors(file: BinaryIO, shape: tuple[int, int], dtype: np.dtype, name: str) -> Iterator[Add]:
    size = shape[0] * shape[1] * dtype.itemsize
    entry = {"dtype": SAFETENSORS[dtype.name], "shape": list(shape), "data_offsets": [0, size]}
    header = json.dumps({name: entry}).encode()
    header += b" " * (-len(header) % 8)  # the numbers begin at a multiple of 8 bytes
    file.write(len(header).to_bytes(8, "little") + header)
    yield _raw(file, dtype)


@contextmanager
def _arrow(
    file: BinaryIO, shape: tuple[int, int], dtype: np.dtype, name: str, *, parquet: bool
) -> Iterator[Add]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        suffix = ".parquet" if parquet else ".feather"
        raise ConfigError(f"writing {suffix} needs pyarrow: pip install pyarrow") from error
    kind = pa.list_(pa.from_numpy_dtype(np.dtype(dtype.name)), shape[1])
    schema = pa.schema([(name, kind)])

    def table(rows: np.ndarray) -> "pa.Table":
        flat = pa.array(np.ascontiguousarray(rows).reshape(-1))
        return pa.table([pa.FixedSizeListArray.from_arrays(flat, shape[1])], schema=schema)

    with pq.ParquetWriter(file, schema) if parquet else pa.ipc.new_file(file, schema) as writer:
        yield lambda rows: writer.write_table(table(rows))


@contextmanager
def _text(
    file: BinaryIO, shape: tuple[int, int], dtype: np.dtype, name: str, *, delimiter: str
) -> Iterator[Add]:
    import pandas as pd

    columns = [f"{name}_{place}" for place in range(shape[1])]
    file.write((delimiter.join(columns) + "\n").encode())

    def add(rows: np.ndarray) -> None:
        text = pd.DataFrame(rows).to_csv(sep=delimiter, header=False, index=False, lineterminator="\n")
        file.write(text.encode())

    yield add


def _raw(file: IO[bytes], dtype: np.dtype) -> Add:
    """Return a function that writes the bytes of rows."""

    def add(rows: np.ndarray) -> None:
        file.write(np.ascontiguousarray(rows, dtype).tobytes())

    return add


Writer = Callable[[Any, tuple[int, int], np.dtype, str], AbstractContextManager[Add]]
WRITERS: dict[str, Writer] = {
    ".npy": _npy,
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".parquet": partial(_arrow, parquet=True),
    ".feather": partial(_arrow, parquet=False),
    ".csv": partial(_text, delimiter=","),
    ".tsv": partial(_text, delimiter="\t"),
}
