"""Loggers of a run: metrics.csv in its folder, and W&B."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intrinsic_clip.loggers.metrics_file import MetricsFile
    from intrinsic_clip.loggers.wandb_logger import WandbLogger

__all__ = ["MetricsFile", "WandbLogger"]

_MODULES = {"MetricsFile": "metrics_file", "WandbLogger": "wandb_logger"}


def __getattr__(name: str) -> Any:
    """Import a logger when it is first used: a run that is done already does not wait for Lightning."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
