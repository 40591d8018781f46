"""Find out whether a callback has a part in Lightning's backward pass, which steps leave out where none has."""

from collections.abc import Iterable
from typing import Any

HOOKS = ("on_before_backward", "on_after_backward")
# Lightning's own are empty, in either package; probes of this package look at losses of other modules alone.
SILENT = ("pytorch_lightning.", "lightning.", "intrinsic_clip.")


def hear_backward(callbacks: Iterable[Any]) -> bool:
    """Return whether one of a user's callbacks has a hook before or behind the backward pass."""
    return any(
        not getattr(type(callback), name).__module__.startswith(SILENT)
        for callback in callbacks
        for name in HOOKS
    )
