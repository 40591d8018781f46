"""Hydra's joblib launcher, except that a killed sweep leaves no workers behind that go on training."""

import os
import signal
import threading
import time
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if find_spec("hydra_plugins.hydra_joblib_launcher"):
    from hydra_plugins.hydra_joblib_launcher import joblib_launcher

    class JoblibLauncher(joblib_launcher.JoblibLauncher):
        """Several runs at once on this machine; PyTorch in each gets its share of the cores."""

        def setup(
            self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
        ) -> None:
            """Have each worker watch its parent."""
            task_function = partial(_in_worker, task_function, os.getpid())
            super().setup(hydra_context=hydra_context, task_function=task_function, config=config)


def _in_worker(task_function: TaskFunction, parent: int, cfg: DictConfig) -> Any:
    if os.getpid() != parent:
        _end_with(parent)
    return task_function(cfg)


@cache  # once per worker
def _end_with(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
