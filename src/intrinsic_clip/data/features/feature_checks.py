"""Check the rows that a source of features gives, once and for every source, those of users among them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from intrinsic_clip.errors import ConfigError, system_reason

if TYPE_CHECKING:
    from intrinsic_clip.data.features.feature_files import Features


def read_checked(read_rows: "Callable[[], Features]", source: str) -> "Features":
    """Read the rows of a source and check that they can be trained on.

    Args:
        read_rows: reads them.
        source: name of the source's class, for messages.

    Raises:
        ConfigError: a file cannot be read, or the rows are of unequal number, no matrices of numbers, or not finite.
    """
    try:
        features = read_rows()
    except OSError as error:
        raise ConfigError(f"data: {source}: {_reason(error)}") from error
    except ConfigError as error:
        file = getattr(error.__cause__, "filename", None)  # that of an OSError
        if file is None or str(file) in str(error):
            raise
        raise ConfigError(f"data: {source}: {file}: {error}") from error
    sides = {"x": features.x, "y": features.y}
    for side, rows in sides.items():
        _check_matrix(f"data: {source}: {side}", rows)
    for name, classes in features.labels.items():
        _check_classes(f"data: {source}: labels.{name}", classes)
    check_lengths(f"data: {source}", features)
    for side, rows in sides.items():
        broken = int((~rows.isfinite().all(1)).sum())
        if broken:
            raise ConfigError(
                f"data: {source}: {broken:,} of {len(rows):,} rows of {side} hold NaN or infinity; leave them out of x "
                "and y, or mend them"
            )
    return features


def _check_matrix(name: str, rows: Tensor) -> None:
    """Check that rows are a matrix of real numbers."""
    if not isinstance(rows, Tensor):
        raise ConfigError(f"{name} is of type {type(rows).__name__}, must be a torch.Tensor of shape (n, d)")
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ConfigError(f"{name} has shape {tuple(rows.shape)}, must be (n, d) with a row for each pair")
    if rows.is_complex():
        raise ConfigError(f"{name} holds complex numbers, must be real")


def _check_classes(name: str, classes: Tensor) -> None:
    """Check that a label set is a column of whole numbers."""
    if not isinstance(classes, Tensor):
        raise ConfigError(f"{name} is of type {type(classes).__name__}, must be a torch.Tensor of shape (n,)")
    if (
        classes.ndim != 1
        or classes.is_floating_point()
        or classes.is_complex()
        or classes.dtype == torch.bool
    ):
        raise ConfigError(
            f"{name} is {classes.dtype} of shape {tuple(classes.shape)}, must be int64 of shape (n,)"
        )


def check_lengths(subject: str, features: "Features") -> None:
    """Check that x, y, label sets and digests have as many rows; the subject begins the message."""
    counts = {"x": len(features.x), "y": len(features.y)}
    counts |= {f"labels.{name}": len(classes) for name, classes in features.labels.items()}
    if features.contents is not None:
        counts["contents"] = len(features.contents)
    if len(set(counts.values())) > 1:
        lengths = ", ".join(f"{name} has {count:,} rows" for name, count in counts.items())
        raise ConfigError(f"{subject}: {lengths}; row i of each must belong together")


def _reason(error: OSError) -> str:
    """Return which file could not be read, and why."""
    reason = system_reason(error)
    return reason if error.filename is None else f"{error.filename}: {reason}"
