"""Take rows as people hold them: tensors, NumPy arrays, data frames, lists, anything with __dlpack__ or __array__."""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from numbers import Integral, Real
from os import PathLike
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.errors import ConfigError

WITHOUT_FLOAT64 = ("mps",)  # devices


class HasArray(Protocol):
    """Array or table that NumPy can read: of NumPy itself, pandas, Polars, JAX, TensorFlow, …"""

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        """Return a NumPy array."""


class HasDLPack(Protocol):
    """Array that other libraries can use where it lies, on a GPU too: of CuPy, JAX, …"""

    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any:
        """Return a capsule."""


Rows: TypeAlias = Tensor | HasArray | HasDLPack | Sequence[Sequence[float]] | Sequence[Tensor]
Labels: TypeAlias = Tensor | HasArray | HasDLPack | Sequence[int] | Sequence[str]


def whole_number(name: str, count: object, least: int) -> int:
    """Return an argument that is a whole number, such as one of neighbours, and large enough.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(count, Integral) or isinstance(count, bool):
        raise ValueError(f"{name} must be a whole number, got {count!r}")
    if int(count) < least:
        raise ValueError(f"{name} must be at least {least}, got {count}")
    return int(count)


def as_points(values: Rows, name: str = "points") -> Tensor:
    """Return rows as a floating-point tensor `(*R, n, d)` on their own device.

    Half precision stays as it is; integers and booleans become float64. Missing values of data frames and masked values
    are NaN.

    Args:
        values: a tensor, or anything that holds rows of numbers.
        name: what a message calls them.

    Raises:
        ValueError: no real numbers, or fewer than two axes.

    Example:
        >>> from intrinsic_clip.dimension.arrays import as_points
        >>> as_points([[1, 2], [3, 4]]).dtype
        torch.float64
    """
    tensor = real_tensor(values, name, "(*R, n, d)")
    if tensor.ndim < 2 or tensor.shape[-1] < 1:
        advice = ": .reshape(-1, 1) makes one row of each number" if tensor.ndim == 1 else ""
        raise ValueError(f"{name} must be (*R, n, d) with d >= 1, got shape {tuple(tensor.shape)}{advice}")
    if not tensor.is_floating_point():
        tensor = tensor.double()
    return tensor.float() if tensor.element_size() == 1 else tensor  # float8 can hardly be calculated with


def as_matrix(values: Rows, name: str) -> Tensor:
    """Return rows `(n, d)` as float32, or as float64 where they have so many digits, without their gradient.

    Args:
        values, name: as for `as_points`.

    Raises:
        ValueError: no real numbers, or not two axes.
    """
    tensor = as_points(values, name).detach()
    if tensor.ndim != 2:
        advice = ": one token, [:, 0], their mean, .mean(1), or all as rows, .flatten(0, 1)" * (
            tensor.ndim == 3
        )
        raise ValueError(f"{name} must be rows (n, d), got shape {tuple(tensor.shape)}{advice}")
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def real_tensor(values: Any, name: str, shape: str) -> Tensor:
    """Return values as a dense tensor of real numbers, of any shape.

    Args:
        values: a tensor, or anything that holds numbers.
        name: what a message calls them.
        shape: what a message says they should be.

    Raises:
        ValueError: there are no real numbers in them.
    """
    if isinstance(values, str | bytes | PathLike):
        raise ValueError(
            f"{name} must be a tensor {shape}, got the {kind(values)} {values!r}: load the file first, as numpy.load "
            "does, or use `intrinsic-clip measure`"
        )
    tensor = values if isinstance(values, Tensor) else _as_tensor(values, name, shape)
    if tensor.is_meta:
        raise ValueError(f"{name} is on the meta device, where tensors have no values")
    if tensor.is_complex():
        raise ValueError(
            f"{name} must be real, got {tensor.dtype}: give .abs(), or .real and .imag side by side"
        )
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    return tensor.cpu() if tensor.device.type in WITHOUT_FLOAT64 else tensor


def as_labels(values: Labels) -> Tensor:
    """Return class labels `(n,)`; names become numbers, the same for a name in every batch and process.

    Names are equal without the spaces around them, and with accents of one character or two, as those in files are.

    Raises:
        ValueError: they are neither numbers nor names, or more than one for each row.
    """
    if not isinstance(values, Tensor):
        array = _array(values)
        if array.ndim == 1 and array.dtype.kind in "UO" and len(array):
            return _numbered(array.tolist())
        if array.dtype.kind not in "biuf":
            raise ValueError(
                f"labels must be class numbers or names (n,), got {kind(values)} of {array.dtype.name}"
            )
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


def _numbered(names: list[Any]) -> Tensor:
    """Return a number for each name that depends on the name alone."""
    numbers: dict[str, int] = {}
    for place, name in enumerate(names):
        if not isinstance(name, str):
            raise ValueError(f"labels must be class numbers or names (n,), got {name!r} in row {place}")
        if name not in numbers:
            plain = unicodedata.normalize("NFC", name.strip()).encode()
            numbers[name] = int.from_bytes(blake2b(plain, digest_size=8).digest(), "big", signed=True)
    return torch.tensor([numbers[name] for name in names])


def check_same_index(tables: Mapping[str, Any]) -> None:
    """Check that data frames and series that belong together row by row have one index, in one order.

    Args:
        tables: by the names that a message calls them; those without an index are not looked at.

    Raises:
        ConfigError: the same labels in another order, or other labels, so that rows i are no pair.
    """
    indices: dict[str, Any] = {name: getattr(table, "index", None) for name, table in tables.items()}
    named = [(name, index) for name, index in indices.items() if hasattr(index, "equals")]
    for name, other in named[1:]:
        first, index = named[0]
        if len(other) != len(index) or other.equals(index):  # lengths are compared elsewhere
            continue
        right = f"row i of each must belong together; give {name}.loc[{first}.index]"
        if sorted(map(str, other)) == sorted(map(str, index)):
            raise ConfigError(f"{first} and {name} have the same index in another order: {right}")
        place = next(
            (i for i, labels in enumerate(zip(index, other, strict=True)) if labels[0] != labels[1]), 0
        )
        raise ConfigError(
            f"{first} and {name} have different index labels (row {place}: {index[place]}, {other[place]}): {right}, "
            f"or {name}.set_axis({first}.index) if they already do"
        )


def is_table(value: Any) -> bool:
    """Return whether a value is a data frame, of pandas or a library like it."""
    return hasattr(value, "to_numpy") and hasattr(value, "columns")


def kind(thing: Any) -> str:
    """Return the name of a thing's class."""
    return type(thing).__name__


def _as_tensor(values: Any, name: str, shape: str) -> Tensor:
    if isinstance(values, tuple | list) and values and all(isinstance(row, Tensor) for row in values):
        shapes = {tuple(row.shape) for row in values}
        if len(shapes) > 1:
            raise ValueError(f"{name} is a list of tensors of several shapes, such as {sorted(shapes)[:2]}")
        return torch.stack([row.detach() for row in values])
    if is_table(values):
        wrong = [column for column in values.columns if _array(values[column]).dtype.kind not in "biuf"]
        if wrong:
            raise ValueError(
                f"{name} is a {kind(values)} whose column {wrong[0]!r} holds no numbers: leave it out"
            )
    elif hasattr(values, "__dlpack__") and not isinstance(values, np.ndarray):
        try:
            return torch.from_dlpack(values)
        except Exception:  # a type or a device that PyTorch cannot share; __array__ may still be there
            pass
    array = _array(values)
    if array.dtype.kind == "c":
        return torch.as_tensor(np.ascontiguousarray(array, np.complex128))
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be a tensor {shape}, got {_described(values, array)}")
    return _from_numpy(array)


def _described(values: Any, array: np.ndarray) -> str:
    is_array = isinstance(values, np.ndarray)
    return f"an array of {array.dtype.name}" if is_array else kind(values)


def _from_numpy(array: np.ndarray) -> Tensor:
    """Return an array of numbers as a tensor, without a copy where PyTorch can use its memory."""
    size = array.dtype.itemsize
    if array.dtype.kind == "f":
        array = np.asarray(array, np.float64 if size > 4 else np.float32)
    elif array.dtype.kind == "u" and size > 1:
        array = np.asarray(array, {2: np.int32, 4: np.int64}.get(size, np.float64))
    else:
        array = np.asarray(array, array.dtype.newbyteorder("="))
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    return torch.as_tensor(array)


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
    if not objects.ndim or not values or not all(isinstance(value, Real) for value in values):
        return objects
    return np.array(values, np.float64).reshape(objects.shape)
