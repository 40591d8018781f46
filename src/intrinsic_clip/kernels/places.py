"""Tell the C++ kernel where numbers lie: those of encoders, of rows, and of gradients."""

import ctypes
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from intrinsic_clip.encoders.chain import Parameters, laid_out, replicate_offsets
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.kernels import library


def network(relus: tuple[bool, ...], parameters: Parameters) -> library.Network:
    """Return an encoder as the source takes it.

    Args:
        relus: per layer, whether a ReLU follows.
        parameters: per layer weight and bias, contiguous.
    """
    weights = [weight for weight in parameters[::2] if weight is not None]
    widths = [weights[0].shape[-1], *(weight.shape[-2] for weight in weights)]
    return library.Network(
        weights[0].shape[0],
        len(weights),
        (ctypes.c_int64 * len(widths))(*widths),
        addresses(weights),
        addresses(parameters[1::2]),
        (ctypes.c_uint8 * len(relus))(*relus),
    )


def addresses(tensors: Parameters) -> ctypes.Array:
    """Return where tensors begin, and null where there is none."""
    return (ctypes.c_void_p * len(tensors))(
        *(None if tensor is None else tensor.data_ptr() for tensor in tensors)
    )


def is_served(tensor: Tensor) -> bool:
    """Return whether the kernel can read a tensor's numbers."""
    return tensor.is_cpu and tensor.dtype is torch.float32


def check_rows(rows: Tensor, width: int | None = None) -> None:
    """Check that the kernel can read rows: what it is told of them it believes.

    Raises:
        ConfigError: they are not float32 on the CPU, have another width, or there is none.
    """
    if not is_served(rows):
        raise ConfigError(f"rows of {rows.dtype} on {rows.device}: the C++ kernel takes float32 on the CPU")
    if rows.ndim < 2 or 0 in rows.shape or width not in (None, rows.shape[-1]):
        needed = "at least one column" if width is None else f"{width} columns"
        raise ConfigError(
            f"rows of shape {tuple(rows.shape)}: the C++ kernel takes (*R, n, d) with at least one row and {needed}"
        )


def placed(rows: Tensor, shape: tuple[int, ...], width: int) -> tuple[Tensor, library.Rows]:
    """Return rows, copied only if a row's numbers are apart, and where those of each replicate are.

    Args:
        rows: `(*R, n, d_in)`, whose leading axes may be missing.
        shape: R.
        width: d_in of the encoder.

    Raises:
        ConfigError: the kernel cannot read them.
    """
    check_rows(rows, width)
    rows, strides = laid_out(rows, shape)
    offsets = _offsets(shape, strides[: len(shape)])
    return rows, library.Rows(rows.data_ptr(), offsets, strides[-2], rows.shape[-2])


def taus(tau: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a temperature of any type of numbers as the kernel takes it, `(*R,)` in float32, differentiably.

    Args:
        tau: a scalar or `(*R,)`.
        shape: R.

    Raises:
        ConfigError: it is neither.
    """
    if tau.ndim and tau.shape != shape:
        raise ConfigError(f"τ of shape {tuple(tau.shape)}: must be (*R,), here {shape}, or a number")
    return tau.to("cpu", torch.float32).expand(shape).contiguous()


def empty_gradients(parameters: Parameters, wanted: Sequence[bool]) -> list[Tensor | None]:
    """Return a tensor for the gradient of each parameter; None: none is wanted."""
    return [
        torch.empty_like(tensor) if tensor is not None and each else None
        for tensor, each in zip(parameters, wanted, strict=True)
    ]


@lru_cache(maxsize=64)
def _offsets(shape: tuple[int, ...], strides: tuple[int, ...]) -> ctypes.Array:
    places = replicate_offsets(shape, strides).tolist()
    return (ctypes.c_int64 * len(places))(*places)
