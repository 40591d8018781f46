"""Open Arrow files, which are Feather, IPC files and streams, and read their record batches."""

import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intrinsic_clip.data.formats.mapped_rows import mapped
from intrinsic_clip.errors import ConfigError, first_line

if TYPE_CHECKING:
    import pyarrow as pa

FILE_MAGIC = b"ARROW1"  # an IPC file, which Feather is too, begins with it; a stream does not
FEATHER_1 = b"FEA1"  # the first version of Feather is no Arrow file


def schema_of(path: Path) -> "pa.Schema":
    """Return the schema of an Arrow file.

    Raises:
        ConfigError: it is damaged.
    """
    return _reader(mapped_arrow(path), path).schema


def is_arrow(path: Path) -> bool:
    """Return whether a file begins as an IPC file or stream does, and not as the first version of Feather."""
    with path.open("rb") as file:
        return not file.read(len(FEATHER_1)).startswith(FEATHER_1)


def is_stream(path: Path) -> bool:
    """Return whether an Arrow file is a stream, as `datasets` writes them."""
    with path.open("rb") as file:
        return not file.read(len(FILE_MAGIC)).startswith(FILE_MAGIC)


def mapped_arrow(path: Path) -> mmap.mmap:
    """Map an Arrow file into memory.

    Raises:
        ConfigError: it is empty.
    """
    if not path.stat().st_size:
        raise ConfigError("damaged, or not an Arrow file (it is empty)")
    return mapped(path)


def _reader(pages: mmap.mmap, path: Path, columns: Sequence[str] = ()) -> Any:
    """Return a reader of record batches, of some columns where they are named."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ConfigError(f"reading {path.suffix} needs pyarrow: pip install pyarrow") from error
    opener = pa.ipc.open_stream if is_stream(path) else pa.ipc.open_file
    file = pa.py_buffer(pages)
    with pyarrow_errors("an Arrow"):
        reader = opener(file)
        if not columns:
            return reader
        places = [reader.schema.get_field_index(column) for column in columns]
        if min(places) < 0:
            missing = columns[places.index(-1)]
            raise ConfigError(f"{path.name}: has no column {missing!r}, which the file before it has")
        return opener(file, options=pa.ipc.IpcReadOptions(included_fields=places, use_threads=False))


def record_batches(
    pages: mmap.mmap, path: Path, columns: Sequence[str], numbers: Sequence[int] | None = None
) -> Iterator["pa.RecordBatch"]:
    """Yield record batches of a file, with some columns: those of these numbers, in ascending order, or all."""
    reader = _reader(pages, path, columns)
    with decoding("an Arrow"):
        if hasattr(reader, "get_batch"):
            for number in range(reader.num_record_batches) if numbers is None else numbers:
                yield reader.get_batch(number)
            return
        wanted = None if numbers is None else set(numbers)
        for number, batch in enumerate(reader):
            if wanted is None or number in wanted:
                yield batch
            if wanted is not None and number >= max(wanted):
                return


@contextmanager
def pyarrow_errors(kind: str) -> Iterator[None]:
    """Raise ConfigError, that a file is damaged or not of a kind, in place of the errors that pyarrow raises.

    Args:
        kind: the article and the kind: `a .parquet`.

    Raises:
        FileNotFoundError: there is no such file.
    """
    try:
        yield
    except (ConfigError, FileNotFoundError):
        raise
    except (OSError, ValueError) as error:
        raise ConfigError(f"damaged, or not {kind} file ({first_line(error)})") from error


@contextmanager
def decoding(kind: str) -> Iterator[None]:
    """Raise ConfigError as `pyarrow_errors` does, and then give memory that pyarrow keeps back to the system."""
    import pyarrow as pa

    try:
        with pyarrow_errors(kind):
            yield
    finally:
        pa.default_memory_pool().release_unused()
