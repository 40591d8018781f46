"""Map a matrix in a .safetensors into memory, so that rows are read as they are needed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intrinsic_clip.data.formats.mapped_rows import MappedRows

LENGTH = 8  # bytes that say how long the header is
TYPES: dict[str, tuple[str, torch.dtype]] = {
    "F16": ("<f2", torch.float16),
    "BF16": ("<i2", torch.bfloat16),  # NumPy has no such type
    "F32": ("<f4", torch.float32),
    "F64": ("<f8", torch.float64),
    "BOOL": ("?", torch.bool),
    "I8": ("i1", torch.int8),
    "U8": ("u1", torch.uint8),
    "I16": ("<i2", torch.int16),
    "I32": ("<i4", torch.int32),
    "I64": ("<i8", torch.int64),
}


def safetensors_rows(path: Path, name: str) -> MappedRows | None:
    """Return the rows of a tensor, in a file that was found to be whole; None for one that is no matrix of numbers."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH), "little")
        entry: dict[str, Any] = json.loads(file.read(length))[name]
    shape = tuple(entry["shape"])
    if entry["dtype"] not in TYPES or len(shape) != 2 or 0 in shape:
        return None
    stored, dtype = TYPES[entry["dtype"]]
    offset = LENGTH + length + entry["data_offsets"][0]
    return MappedRows(np.memmap(path, np.dtype(stored), "c", offset, shape), dtype)
