"""Read columns of lists of pyarrow as matrices, an empty cell as a row of NaN."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.column_choice import ColumnChoice
from intrinsic_clip.data.formats.number_types import FLOATING, numpy_name
from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

PART = 4096  # rows to read at a time
FLOATS = {"halffloat": torch.float16, "float": torch.float32, "double": torch.float64}
WHOLE_NUMBERS = {name: FLOATING[name] for name in ("int8", "uint8", "int16", "int32", "int64")}


class ListColumn:
    """A column of lists of numbers, all of one length.

    Args:
        name: of the column.
        dtype: of the rows.

    Attributes:
        names: of the one column.
        part: rows to read at a time.
        width: numbers in a list; 0 until a batch was read that has some: batches before it have no columns.
    """

    def __init__(self, name: str, dtype: torch.dtype) -> None:
        self.name, self.names, self.dtype, self.width = name, [name], dtype, 0
        self.part = PART

    def matrix(self, batch: "pa.RecordBatch", start: int) -> Tensor:
        """Return the lists of a batch as rows, an empty cell as a row of NaN.

        Args:
            batch: some rows of the column.
            start: rows before them, for messages.

        Raises:
            ConfigError: a list is of another length.
        """
        import pyarrow.compute as pc

        lists = batch.column(self.name)
        lengths = pc.list_value_length(lists)
        width = self.width = self.width or pc.max(lengths).as_py() or 0
        present = lists.drop_null()
        if len(present) and pc.min_max(pc.list_value_length(present)).as_py() != {"min": width, "max": width}:
            raise ConfigError(
                f"column {self.name!r} holds lists of other lengths than {width} behind row {start:,}; all must be "
                "of one length"
            )
        flat = present.flatten()
        numbers = flat.to_numpy(zero_copy_only=False) if flat.null_count else flat.to_numpy()
        rows = np.asarray(numbers, dtype=numpy_name(self.dtype)).reshape(len(present), width)
        if lists.null_count:
            blank = np.full((len(lists), width), np.nan, rows.dtype)
            blank[~np.asarray(lists.is_null())] = rows
            rows = blank
        return torch.from_numpy(np.require(rows, requirements="W"))


def chosen_column(schema: "pa.Schema", key: Key, choice: ColumnChoice) -> tuple[ListColumn, list[str]] | None:
    """Return the column of lists to read, and notes; None where a table is to be read otherwise.

    Lists of whole numbers are token ids more often than embeddings, so that one of those must be named.

    Args:
        schema: of the table.
        key: the column of lists of floats, or of whole numbers.
        choice: the columns to read.

    Raises:
        ConfigError: there are several and none was chosen, or several of one name.
    """
    names = list(schema.names)
    places, chosen = choice.places(names)
    kinds = {names[place]: kind_of(schema.field(place).type) for place in places}
    twice = next((name for name in kinds if kinds[name] in FLOATS and names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"has {names.count(twice)} columns {twice!r}; must have one")
    lists = {name: kind for name, kind in kinds.items() if kind in FLOATS or (kind and name == key.value)}
    if not lists or (key.value is None and chosen and len(lists) < len(places)):
        return None
    if key.value is not None and key.value not in lists:
        return None  # the reader of whole tables says what is wrong
    column = key.choose(list(lists), "columns of lists")
    left_out = [name for name in names if name != column]
    notes = [f"column {column!r} is read, {', '.join(left_out)} left out"] if left_out else []
    return ListColumn(column, (FLOATS | WHOLE_NUMBERS)[lists[column]]), notes


def kind_of(kind: Any) -> str | None:
    """Return the type of the numbers in lists, as pyarrow calls it; None where a column holds no lists of numbers."""
    import pyarrow as pa

    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return str(kind.value_type) if is_list and str(kind.value_type) in FLOATS | WHOLE_NUMBERS else None
