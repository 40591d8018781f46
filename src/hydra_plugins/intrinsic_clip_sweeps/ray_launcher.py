"""Launch runs with Ray, on this machine or a cluster.

Hydra's own Ray launcher needs a cloudpickle older than joblib allows, so the two could not be installed together.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict


@dataclass
class RayLauncherConf:
    """Settings of the launcher: `init` goes to `ray.init`, `remote` to `ray.remote`."""

    _target_: str = "hydra_plugins.intrinsic_clip_sweeps.ray_launcher.RayLauncher"
    init: dict[str, Any] = field(default_factory=lambda: {"include_dashboard": False})
    remote: dict[str, Any] = field(default_factory=lambda: {"num_cpus": 1})


if find_spec("ray"):
    ConfigStore.instance().store(
        group="hydra/launcher", name="ray_tasks", node=RayLauncherConf, provider="intrinsic_clip"
    )


class RayLauncher(Launcher):
    """Launcher of each run as a Ray task; Ray retries a task whose worker was killed, up to three times."""

    def __init__(self, init: DictConfig, remote: DictConfig) -> None:
        self.init: Any = OmegaConf.to_container(init, resolve=True)
        self.remote: Any = OmegaConf.to_container(remote, resolve=True)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep the context that every task needs."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs and wait for all of them, even if some fail."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        ray.init(**self.init, ignore_reinit_error=True)
        try:
            task = ray.remote(**self.remote)(_run)
            jobs = [
                task.remote(self, list(overrides), number, Singleton.get_state())
                for number, overrides in enumerate(job_overrides, initial_job_idx)
            ]
            return [_returned(job) for job in jobs]
        finally:
            ray.shutdown()


def _run(launcher: RayLauncher, overrides: list[str], number: int, singletons: Any) -> JobReturn:
    Singleton.set_state(singletons)
    setup_globals()
    config = launcher.hydra_context.config_loader.load_sweep_config(launcher.config, overrides)
    with open_dict(config):
        config.hydra.job.id = config.hydra.job.num = number
    return run_job(
        hydra_context=launcher.hydra_context,
        task_function=launcher.task_function,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )


def _returned(job: Any) -> JobReturn:
    import ray

    try:
        return ray.get(job)
    except ray.exceptions.RayError as error:
        return JobReturn(status=JobStatus.FAILED, _return_value=error)
