"""Read what a source gives for a batch: tensors, arrays, data frames or lists become rows (n, d)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from intrinsic_clip.dimension.arrays import is_table, kind, real_tensor
from intrinsic_clip.measurement.parts import as_parts

PARTS = ("x", "y", "labels")


def as_rows(parts: Any) -> dict[str, Tensor]:
    """Return a batch's rows by name: x, y, z and one `label_<name>` per label set; float32 or float64, no gradient.

    Tensors, NumPy arrays, data frames and lists of numbers are taken, on any device; all end on that of x.

    Raises:
        ValueError: not what a source may give, numbers of rows that differ, or tables of another index.
    """
    parts = _by_name(parts)
    unknown = set(parts) - {"x", "y", "z", "labels"}
    if unknown:
        raise ValueError(f"a source's dict holds x, y, z and labels, got {sorted(map(str, unknown))[0]!r}")
    return as_parts({part: parts.get(part) for part in ("x", "y", "z")}, parts.get("labels"), _matrix)


def _by_name(parts: Any) -> Mapping[str, Any]:
    if parts is None:
        raise ValueError(
            "a source gives x, (x, y), (x, y, labels) or a dict with x, got None: return the embeddings"
        )
    if isinstance(parts, Tensor) or is_table(parts) or hasattr(parts, "__array__"):
        return {"x": parts}
    if isinstance(parts, tuple | list):
        if isinstance(parts, list) and len(parts) > len(PARTS) and all(map(_is_one_row, parts)):
            return {"x": parts}  # one embedding after another
        if not 1 <= len(parts) <= 3:
            raise ValueError(f"a source gives x, (x, y) or (x, y, labels), got {len(parts)} values")
        return dict(zip(PARTS, parts, strict=False))
    if not isinstance(parts, Mapping) or "x" not in parts:
        raise ValueError(f"a source gives x, (x, y), (x, y, labels) or a dict with x, got {kind(parts)}")
    return parts


def _is_one_row(value: Any) -> bool:
    if isinstance(value, Tensor | np.ndarray):
        return value.ndim == 1
    return (
        isinstance(value, list) and bool(value) and all(isinstance(number, int | float) for number in value)
    )


def _matrix(values: Any, part: str) -> Tensor:
    """Return a part of a batch as a matrix of finite-width real numbers.

    Raises:
        ValueError: it is none.
    """
    tensor = real_tensor(values, part, "(n, d)")
    if tensor.ndim != 2:
        raise ValueError(f"{part} must be a tensor (n, d), got shape {tuple(tensor.shape)}{_advice(tensor)}")
    tensor = tensor.detach() if isinstance(values, Tensor) else tensor.clone()  # a buffer may be used again
    return tensor.double() if tensor.dtype == torch.float64 else tensor.float()


def _advice(tensor: Tensor) -> str:
    if tensor.ndim == 3:
        return ": take one token, [:, 0], their mean, .mean(1), or all as rows, .flatten(0, 1)"
    return ": .flatten(1) makes one row of each" if tensor.ndim > 3 else ""


def tensors_of(batch: Any) -> list[Tensor]:
    """Return all tensors of a batch that have memory."""
    tensors: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        if not tensor.is_meta:
            tensors.append(tensor)
        return tensor

    apply_to_collection(batch, Tensor, note, allow_frozen=True)
    return tensors
