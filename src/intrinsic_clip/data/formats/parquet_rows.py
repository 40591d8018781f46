"""Read a column of lists in a .parquet file block by block, so that it need not fit into memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.column_choice import ColumnChoice
from intrinsic_clip.errors import ConfigError, first_line

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

READ = 4096  # rows that pyarrow decodes at a time
TYPES = {"halffloat": torch.float16, "float": torch.float32, "double": torch.float64}


class ParquetRows:
    """The lists of one column, all of one length; a `RowSource` of `intrinsic_clip.dimension`.

    Args:
        path: the file.
        column: its name.
        kind: pyarrow's name of the lists' type of number.

    Raises:
        ConfigError: the first lists hold no numbers, or the file is damaged.
    """

    def __init__(self, path: Path, column: str, kind: str) -> None:
        self.path, self.column, self._dtype = path, column, TYPES[kind]
        self.file = _opened(path)
        self.starts = np.cumsum([0, *(self.file.metadata.row_group(i).num_rows for i in self._groups())])
        self._columns = 0
        self._columns = next(self._batches(self._groups()), torch.empty(0, 0)).shape[1]

    def _groups(self) -> list[int]:
        return list(range(self.file.num_row_groups))

    @property
    def shape(self) -> tuple[int, int]:
        """Return the number of rows and of columns."""
        return int(self.starts[-1]), self._columns

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of the numbers."""
        return self._dtype

    def _batches(self, groups: list[int]) -> Iterator[Tensor]:
        """Yield the rows of some row groups in order, a few thousand at a time."""
        start = 0
        try:
            for batch in self.file.iter_batches(READ, groups, [self.column], use_threads=False):
                if len(batch):
                    yield self._matrix(batch.column(0), start)
                start += len(batch)
        except (OSError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"damaged, or not a .parquet file ({first_line(error)})") from error

    def _matrix(self, lists: "pa.Array", start: int) -> Tensor:
        """Return lists as rows; an empty cell is a row of NaN."""
        import pyarrow.compute as pc

        lengths = pc.list_value_length(lists)
        width = self._columns or pc.max(lengths).as_py() or 0
        present = lists.drop_null()
        if len(present) and pc.min_max(pc.list_value_length(present)).as_py() != {"min": width, "max": width}:
            raise ConfigError(
                f"column {self.column!r} holds lists of other lengths than {width} behind row {start:,}; all must be "
                "of one length"
            )
        flat = present.flatten()
        numbers = flat.to_numpy(zero_copy_only=False) if flat.null_count else flat.to_numpy()
        rows = np.asarray(numbers, dtype=str(self._dtype).removeprefix("torch.")).reshape(-1, width)
        if lists.null_count:
            blank = np.full((len(lists), width), np.nan, rows.dtype)
            blank[~np.asarray(lists.is_null())] = rows
            rows = blank
        return torch.from_numpy(np.require(rows, requirements="W"))

    def blocks(self, size: int) -> Iterator[tuple[int, Tensor]]:
        """Yield all rows in order."""
        start, held = 0, torch.empty(0, self._columns, dtype=self._dtype)
        for rows in self._batches(self._groups()):
            held = torch.cat([held, rows]) if len(held) else rows
            while len(held) >= size:
                yield start, held[:size]
                start, held = start + size, held[size:]
        if len(held):
            yield start, held

    def take(self, rows: Tensor) -> Tensor:
        """Return the rows of these numbers; only row groups that hold some are read."""
        taken = torch.empty(len(rows), self._columns, dtype=self._dtype)
        ordered, order = rows.sort()
        groups = np.unique(np.searchsorted(self.starts, ordered.numpy(), "right") - 1).tolist()
        for group in groups:
            start = int(self.starts[group])
            for block in self._batches([group]):
                low, high = torch.searchsorted(ordered, torch.tensor([start, start + len(block)])).tolist()
                taken[order[low:high]] = block[ordered[low:high] - start]
                start += len(block)
        return taken


def parquet_rows(path: Path, key: Key, choice: ColumnChoice) -> tuple[ParquetRows, list[str]] | None:
    """Return the rows of a .parquet file whose rows are lists of floats, and notes; None for any other table.

    Args:
        path: the file.
        key: the column of lists.
        choice: the columns to read.

    Raises:
        ConfigError: it is damaged, or the column is not there.
    """
    schema = _opened(path).schema_arrow
    names = list(schema.names)
    places, chosen = choice.places(names)
    lists = {names[place]: kind for place in places if (kind := _kind(schema.field(place).type)) is not None}
    if not lists or (key.value is None and chosen and len(lists) < len(places)):
        return None
    if key.value is not None and key.value not in lists:
        return None  # the reader of whole tables says what is wrong
    column = key.choose(list(lists), "columns of lists")
    left_out = [name for name in names if name != column]
    notes = [f"column {column!r} is read, {', '.join(left_out)} left out"] if left_out else []
    return ParquetRows(path, column, lists[column]), notes


def _kind(kind: Any) -> str | None:
    """Return the type of the numbers in lists; None where a column holds none."""
    import pyarrow as pa

    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return str(kind.value_type) if is_list and str(kind.value_type) in TYPES else None


def _opened(path: Path) -> "pq.ParquetFile":
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigError("reading .parquet needs pyarrow: pip install pyarrow") from error
    try:
        return pq.ParquetFile(path, memory_map=True)
    except FileNotFoundError:
        raise
    except (ValueError, OSError) as error:
        raise ConfigError(f"damaged, or not a .parquet file ({first_line(error)})") from error
