"""Launch runs with joblib, as Hydra's own launcher does, without leaving workers behind a killed sweep."""

from importlib.util import find_spec

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.intrinsic_clip_sweeps._workers import ending_with_this_process

if find_spec("hydra_plugins.hydra_joblib_launcher"):
    from hydra_plugins.hydra_joblib_launcher import joblib_launcher

    class JoblibLauncher(joblib_launcher.JoblibLauncher):
        """Launcher of several runs at once on this machine; PyTorch in each gets its share of the cores."""

        def setup(
            self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
        ) -> None:
            """Have the workers end with the sweep."""
            task_function = ending_with_this_process(task_function)
            super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
