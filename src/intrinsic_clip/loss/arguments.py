"""Check what the functions of objectives are called with: shapes, and numbers of Python.

No look at a tensor's numbers, which would stall a GPU or break a compiled step; but for a lone temperature that is a
constant on the CPU.
"""

import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real

import torch
from torch import Tensor

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss.precision import in_widest_type, widened


def paired(x: Tensor, y: Tensor, chunk: int | None = None, columns: bool = True) -> tuple[Tensor, Tensor]:
    """Return paired representations `(*R, n, d)` in float32, or in float64 if one of them is.

    Args:
        x, y: what the caller was given for them.
        chunk: rows of an n × n part at a time, or None.
        columns: whether both need the same d, too.

    Raises:
        ConfigError: one is not a tensor, their shapes do not fit, a row is missing, or the chunk has no rows.
    """
    check_rows("x", x)
    check_rows("y", y)
    if (x.shape if columns else x.shape[:-1]) != (y.shape if columns else y.shape[:-1]):
        raise ConfigError(
            f"x of shape {tuple(x.shape)} and y of shape {tuple(y.shape)}: row i of x belongs to row i of y, so both "
            f"must be {'(*R, n, d)' if columns else '(*R, n, …)'} alike"
        )
    check_count(chunk=chunk)
    x, y = in_widest_type(x, y)
    return x, y


def modalities(representations: Sequence[Tensor], anchor: int = 0) -> list[Tensor]:
    """Return representations of two or more modalities `(*R, n, d)` in float32, or in float64 if one of them is.

    Args:
        representations: what the caller was given for them.
        anchor: the place of one of them.

    Raises:
        ConfigError: there are fewer than two, one is not a tensor, or their shapes differ, or none has this place.
    """
    if len(representations) < 2:
        raise ConfigError(f"{len(representations)} modality: must be at least 2")
    if not (isinstance(anchor, Integral) and 0 <= anchor < len(representations)):
        raise ConfigError(f"anchor={anchor}: must be a place among the {len(representations)} modalities")
    first = representations[0]
    for place, rows in enumerate(representations):
        check_rows(f"modality {place}", rows)
        if rows.shape != first.shape:
            raise ConfigError(
                f"modalities of shapes {tuple(first.shape)} and {tuple(rows.shape)}: row i of one belongs to row i of "
                "all, so they must be (*R, n, d) alike"
            )
    return list(in_widest_type(*representations))


def place_of_anchor(anchor: str, modalities: Iterable[str]) -> int:
    """Return the place of the anchor among the names of modalities.

    Raises:
        ConfigError: none has its name.
    """
    names = list(modalities)
    if anchor not in names:
        raise ConfigError(f"objective.anchor={anchor}: must be one of {', '.join(names)}")
    return names.index(anchor)


def temperature(tau: Tensor | float, x: Tensor, by_direction: bool = False) -> Tensor:
    """Return τ as a tensor in float32 or wider; a number on the device and in the type of the representations x.

    Args:
        tau: what the caller was given for it.
        x: representations, `(*R, n, d)`.
        by_direction: whether there may be one per direction, `(2, *R)`.

    Raises:
        ConfigError: it is neither a number nor `(*R,)`; or a number, or a constant scalar on the CPU, and not positive.
    """
    if by_direction and isinstance(tau, Tensor) and tau.shape == (2, *x.shape[:-2]):
        return widened(tau)
    return per_replicate("τ", tau, x, positive=True)


def per_replicate(name: str, value: Tensor | float, x: Tensor, positive: bool = False) -> Tensor:
    """Return a number, or one of each replicate, as a tensor in float32 or wider.

    Args:
        name: of the value, for the message.
        value: a number, or a tensor that is a scalar or `(*R,)`.
        x: representations, `(*R, n, d)`.
        positive: whether it must be positive.

    Raises:
        ConfigError: it is neither; or a number, or a constant scalar on the CPU, and not positive where it must be.
    """
    if isinstance(value, Tensor):
        if value.ndim and value.shape != x.shape[:-2]:
            raise ConfigError(_misfit(name, value, x))
        if positive and is_readable(value):
            _check_number(name, float(value), positive)
        return widened(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{name}: must be a number or a PyTorch tensor, got {_kind(value)}")
    _check_number(name, value, positive)
    return torch.full((), value, dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)


def is_readable(tau: Tensor) -> bool:
    """Return whether a look at a tensor's number neither stalls nor breaks a training step."""
    return tau.ndim == 0 and not tau.requires_grad and is_on_hand(tau)


def is_on_hand(tensor: Tensor) -> bool:
    """Return whether a tensor's numbers lie on the CPU, outside a compiled step and `vmap`."""
    return (
        tensor.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and not torch._C._functorch.is_batchedtensor(tensor)
    )


def check_rows(name: str, rows: Tensor) -> None:
    """Check that representations are a tensor `(*R, n, d)` with a row at least.

    Raises:
        ConfigError: they are not.
    """
    if not isinstance(rows, Tensor):
        raise ConfigError(f"{name}: must be a PyTorch tensor, got {_kind(rows)}")
    if rows.ndim < 2 or 0 in rows.shape:
        raise ConfigError(
            f"{name} of shape {tuple(rows.shape)}: must be (*R, n, d) with at least one row and column"
        )


def check_count(**settings: int | None) -> None:
    """Check that settings, such as the number of rows at a time, are None or positive whole numbers.

    Raises:
        ConfigError: one is not.
    """
    for name, value in settings.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, Integral) or value < 1):
            raise ConfigError(f"{name}={value}: must be None or a whole number of at least 1")


def check_positive(**settings: float) -> None:
    """Check that settings are numbers above 0.

    Raises:
        ConfigError: one is not.
    """
    for name, value in settings.items():
        if not (is_number(value) and 0 < value < math.inf):
            raise ConfigError(f"{name}={value}: must be greater than 0, and finite")


def check_weights(**settings: float) -> None:
    """Check that settings are numbers of at least 0.

    Raises:
        ConfigError: one is not.
    """
    for name, value in settings.items():
        if not (is_number(value) and 0 <= value < math.inf):
            raise ConfigError(f"{name}={value}: must be at least 0, and finite")


def check_share(**settings: float) -> None:
    """Check that settings are shares of at least 0 and below 1.

    Raises:
        ConfigError: one is not.
    """
    for name, value in settings.items():
        if not (is_number(value) and 0 <= value < 1):
            raise ConfigError(f"{name}={value}: must be at least 0 and below 1")


def is_number(value: object) -> bool:
    """Return whether a setting is one number: of Python, of NumPy, or in a tensor."""
    return isinstance(value, Real) or (isinstance(value, Tensor) and value.ndim == 0)


def _check_number(name: str, value: float, positive: bool) -> None:
    if not math.isfinite(value) or (positive and value <= 0):
        raise ConfigError(f"{name} = {value:g}: must be {'positive and ' if positive else ''}finite")


def _misfit(name: str, value: Tensor, x: Tensor) -> str:
    either = f"{name} of shape {tuple(value.shape)} for representations of shape {tuple(x.shape)}"
    return f"{either}: must be (*R,), {'or (2, *R) for the directions of InfoNCE, ' if name == 'τ' else ''}or a number"


def _kind(value: object) -> str:
    return f"{type(value).__module__.partition('.')[0]}.{type(value).__qualname__}".removeprefix("builtins.")
