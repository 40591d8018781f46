"""Launch runs with Submitit, as Hydra's own launchers do, and wait for all jobs even if one is killed."""

from collections.abc import Sequence
from importlib.util import find_spec
from itertools import count, repeat
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.intrinsic_clip_sweeps._workers import ending_with_this_process

if TYPE_CHECKING:
    import submitit

if find_spec("hydra_plugins.hydra_submitit_launcher"):
    from hydra_plugins.hydra_submitit_launcher import submitit_launcher
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

    class _Patient(submitit_launcher.BaseSubmititLauncher):
        """Hydra's Submitit launcher with another `launch`."""

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            """Submit an array of jobs and wait for each of them; Ctrl-C cancels them."""
            jobs = self._executor().map_array(
                self,
                [list(overrides) for overrides in job_overrides],
                repeat("hydra.sweep.dir"),
                count(initial_job_idx),
                repeat(""),
                repeat(Singleton.get_state()),
            )
            try:
                return [_returned(job) for job in jobs]
            except KeyboardInterrupt:
                for job in jobs:
                    job.cancel()
                raise

        def _executor(self) -> "submitit.AutoExecutor":
            import submitit

            parameters = dict(self.params)
            folder = parameters.pop("submitit_folder")
            retries = {k: parameters.pop(k) for k in ("max_num_timeout",) if k in parameters}
            executor = submitit.AutoExecutor(folder, cluster=self._EXECUTOR, **self._named(retries))
            executor.update_parameters(**self._named(parameters))
            return executor

        def _named(self, parameters: dict[str, Any]) -> dict[str, Any]:
            """Prefix the parameters that only Slurm understands with `slurm_`, as Submitit expects."""
            shared = vars(BaseQueueConf())
            return {k if k in shared else f"{self._EXECUTOR}_{k}": v for k, v in parameters.items()}

    class LocalLauncher(_Patient):
        """Launcher that starts all runs at once on this machine, each in its own process, as Slurm would."""

        _EXECUTOR = "local"

        def setup(
            self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
        ) -> None:
            """Have the jobs end with the sweep; jobs on a cluster outlive it."""
            task_function = ending_with_this_process(task_function)
            super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    class SlurmLauncher(_Patient):
        """Launcher of each run as a task of a Slurm job array."""

        _EXECUTOR = "slurm"


def _returned(job: "submitit.Job[JobReturn]") -> JobReturn:
    from submitit.core.utils import FailedJobError, UncompletedJobError

    try:
        return job.results()[0]
    except (FailedJobError, UncompletedJobError):
        lost = RuntimeError(f"ended without an error message (killed?); see {job.paths.stderr}")
        return JobReturn(status=JobStatus.FAILED, _return_value=lost)
