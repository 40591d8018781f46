"""End local jobs together with their sweep, so that no training survives a SIGKILL of the sweep."""

import os
import select
import signal
import threading
from functools import cache, partial
from typing import Any

from hydra.types import TaskFunction
from omegaconf import DictConfig


def ending_with_this_process(task_function: TaskFunction) -> TaskFunction:
    """Return the task function for a launcher's workers, which end when this process ends (on Linux)."""
    return partial(_in_worker, task_function, os.getpid())


def _in_worker(task_function: TaskFunction, sweep: int, cfg: DictConfig) -> Any:
    if os.getpid() != sweep and hasattr(os, "pidfd_open"):
        _end_with(sweep)
    return task_function(cfg)


@cache  # once per worker
def _end_with(process: int) -> None:
    def watch() -> None:
        try:
            select.select([os.pidfd_open(process)], [], [])
        finally:  # the sweep has ended, perhaps before it could be watched
            os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
