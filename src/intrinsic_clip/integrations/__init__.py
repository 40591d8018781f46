"""Numbers for any training: `measure` in one call, `Measure` over batches, and adapters to other libraries.

An adapter imports its library when it is itself imported, so that this room costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intrinsic_clip.integrations.measuring import measure
    from intrinsic_clip.integrations.over_batches import Measure

__all__ = ["Measure", "measure"]

_HOME = {"measure": "measuring", "Measure": "over_batches"}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
