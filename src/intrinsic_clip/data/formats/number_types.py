"""Types of numbers in files that are read block by block, and the floating-point types that their rows have."""

import torch

FLOATING = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
    "bool": torch.float32,
    "int8": torch.float32,
    "uint8": torch.float32,
    "int16": torch.float32,
    "int32": torch.float64,
    "int64": torch.float64,
}


def numpy_name(dtype: torch.dtype) -> str:
    """Return the name that NumPy has for a type."""
    return str(dtype).removeprefix("torch.")


def floating(dtype: torch.dtype) -> torch.dtype:
    """Return the floating-point type that rows of a stored type have: that of small whole numbers holds them exactly.

    Example:
        >>> import torch
        >>> from intrinsic_clip.data.formats.number_types import floating
        >>> [floating(dtype) for dtype in (torch.float16, torch.int8, torch.int64)]
        [torch.float16, torch.float32, torch.float64]
    """
    return FLOATING.get(numpy_name(dtype), torch.float64)
