"""Read what a source gives for a batch: tensors, arrays, data frames or lists become rows (n, d)."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

PARTS = ("x", "y", "labels")


def as_rows(parts: Any) -> dict[str, Tensor]:
    """Return a batch's rows by name: x, y, z and one `label_<name>` per label set; float32 or float64, no gradient.

    Tensors, NumPy arrays, data frames and lists of numbers are taken, on any device; all end on that of x.

    Raises:
        ValueError: not what a source may give, or numbers of rows that differ.
    """
    parts = _by_name(parts)
    unknown = set(parts) - {"x", "y", "z", "labels"}
    if unknown:
        raise ValueError(f"a source's dict holds x, y, z and labels, got {sorted(map(str, unknown))[0]!r}")
    rows = {part: _matrix(part, parts[part]) for part in ("x", "y", "z") if parts.get(part) is not None}
    if "x" not in rows:
        raise ValueError("x is None: the source gives nothing to measure")
    labels = parts.get("labels")
    if labels is not None:
        sets = labels if isinstance(labels, Mapping) else {"class": labels}
        rows |= {f"label_{name}": _classes(values) for name, values in sets.items()}
    n, device = len(rows["x"]), rows["x"].device
    for part, tensor in rows.items():
        if len(tensor) != n:
            raise ValueError(f"x has {n} rows and {part} {len(tensor)}: they must belong together")
    return {part: tensor.to(device) for part, tensor in rows.items()}


def _by_name(parts: Any) -> Mapping[str, Any]:
    if parts is None:
        raise ValueError(
            "a source gives x, (x, y), (x, y, labels) or a dict with x, got None: return the embeddings"
        )
    if isinstance(parts, Tensor) or _is_table(parts) or hasattr(parts, "__array__"):
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


def _is_table(value: Any) -> bool:
    """Return whether a value is a data frame, of pandas or a library like it."""
    return hasattr(value, "to_numpy") and hasattr(value, "columns")


def _is_one_row(value: Any) -> bool:
    if isinstance(value, Tensor | np.ndarray):
        return value.ndim == 1
    return (
        isinstance(value, list) and bool(value) and all(isinstance(number, int | float) for number in value)
    )


def _matrix(part: str, values: Any) -> Tensor:
    """Return a part of a batch as a matrix of finite-width real numbers.

    Raises:
        ValueError: it is none.
    """
    tensor = values if isinstance(values, Tensor) else _as_tensor(part, values)
    if tensor.is_meta:
        raise ValueError(f"{part} is on the meta device, where tensors have no values")
    if tensor.is_complex():
        raise ValueError(
            f"{part} must be real, got {tensor.dtype}: give .abs(), or .real and .imag side by side"
        )
    if tensor.ndim != 2:
        raise ValueError(f"{part} must be a tensor (n, d), got shape {tuple(tensor.shape)}{_advice(tensor)}")
    tensor = tensor.detach()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    return tensor.double() if tensor.dtype == torch.float64 else tensor.float()


def _advice(tensor: Tensor) -> str:
    if tensor.ndim == 3:
        return ": take one token, [:, 0], their mean, .mean(1), or all as rows, .flatten(0, 1)"
    return ": .flatten(1) makes one row of each" if tensor.ndim > 3 else ""


def _as_tensor(part: str, values: Any) -> Tensor:
    if isinstance(values, tuple | list) and values and all(isinstance(row, Tensor) for row in values):
        shapes = {tuple(row.shape) for row in values}
        if len(shapes) > 1:
            raise ValueError(f"{part} is a list of tensors of several shapes, such as {sorted(shapes)[:2]}")
        return torch.stack([row.detach() for row in values])
    if _is_table(values):
        wrong = [name for name in values.columns if _array(values[name]).dtype.kind not in "biuf"]
        if wrong:
            raise ValueError(
                f"{part} is a {kind(values)} whose column {wrong[0]!r} holds no numbers: leave it out"
            )
    array = _array(values)
    if array.dtype.kind == "c":
        return torch.as_tensor(np.ascontiguousarray(array, np.complex128))
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{part} must be a tensor (n, d), got {kind(values)}")
    wide = array.dtype.kind == "f" and array.dtype.itemsize > 4
    return torch.as_tensor(np.array(array, np.float64 if wide else np.float32))


def _array(values: Any) -> np.ndarray:
    """Return values as an array, of dtype object where they are no numbers; masked values are NaN."""
    if isinstance(values, np.ma.MaskedArray) and values.mask.any():
        return np.where(values.mask, np.nan, values.data)
    if hasattr(values, "toarray"):  # a sparse matrix of SciPy
        values = values.toarray()
    try:
        array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    except Exception:  # ragged lists, foreign arrays that cannot be converted
        return np.asarray(None)
    return _numbers(array) if array.dtype.kind == "O" else array


def _numbers(objects: np.ndarray) -> np.ndarray:
    """Return an array of objects as one of numbers, as of a data frame with missing values, if all of them are some."""
    values = [math.nan if value is None or str(value) == "<NA>" else value for value in objects.flat]
    if not values or not all(isinstance(value, Real) for value in values):
        return objects
    return np.array(values, np.float64).reshape(objects.shape)


def _classes(values: Any) -> Tensor:
    """Return class labels `(n,)`.

    Raises:
        ValueError: they are no numbers, or more than one for each row.
    """
    if not isinstance(values, Tensor):
        array = _array(values)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"labels must be class numbers (n,), got {kind(values)} of {array.dtype.name}")
        values = torch.as_tensor(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))))
    if values.is_meta:
        raise ValueError("labels are on the meta device, where tensors have no values")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ValueError(
            f"labels must be class numbers (n,), got shape {tuple(values.shape)}: of one-hot rows give .argmax(1)"
        )
    return values.detach()


def tensors_of(batch: Any) -> list[Tensor]:
    """Return all tensors of a batch that have memory."""
    tensors: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        if not tensor.is_meta:
            tensors.append(tensor)
        return tensor

    apply_to_collection(batch, Tensor, note, allow_frozen=True)
    return tensors


def kind(thing: Any) -> str:
    """Return the name of a thing's class."""
    return type(thing).__name__
