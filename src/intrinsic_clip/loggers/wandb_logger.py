"""Log to W&B, offline by default, without ever stopping a training."""

import warnings
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning.loggers as lightning_loggers
from pydantic import PositiveFloat, PositiveInt
from pytorch_lightning.loggers.logger import DummyExperiment, rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from intrinsic_clip.errors import joined_lines
from intrinsic_clip.loggers.wandb_service import require_answer

FORMER: dict[str, Literal["offline", "online"]] = {"dryrun": "offline", "run": "online"}


class WandbLogger(lightning_loggers.WandbLogger):
    """Lightning's W&B logger with this project's defaults; its failures never stop a training.

    An online run that cannot begin is logged offline, and `wandb sync` uploads it later. If the service fails later,
    W&B's own process retries and reports it at the end; the files are complete, and `wandb sync --include-online`
    uploads them.

    Args:
        folder: the run folder `…/<name>/<hash>`. W&B's files go to `wandb/` in it. The hash is W&B's run id, so a
            resumed run keeps its id.
        group: runs whose mean and spread W&B's charts show. None: `<name>`.
        mode: `offline` (needs no account and no network), `online` or `disabled`; W&B's former names for the first two
            are `dryrun` and `run`.
        every_n_steps: log the numbers of every n-th step: each costs W&B about a fifth of a small step, and its charts
            show 1,500 points at most. metrics.csv has them all.
        timeout: seconds to wait for the service to answer when an online run begins, for it to accept the run, and
            again when the run ends. W&B's own process takes a few seconds more to start and to give up.
        kinds: tags beside `tags`, cut to the 64 characters that W&B allows.
        project, entity, tags, job_type, name: as in `wandb.init`.
    """

    def __init__(
        self,
        folder: str,
        group: str | None = None,
        mode: Literal["offline", "online", "disabled", "dryrun", "run"] = "offline",
        every_n_steps: PositiveInt = 10,
        timeout: PositiveFloat = 60.0,
        project: str = "intrinsic-clip",
        entity: str | None = None,
        tags: list[str] | None = None,
        kinds: Sequence[str] = (),
        job_type: str | None = None,
        name: str | None = None,
    ) -> None:
        import wandb

        mode = FORMER.get(mode, mode)
        # The mode is set below: Lightning's `offline` would set WANDB_MODE, also for the runs that follow.
        super().__init__(
            name=name,
            project=project,
            save_dir=str(Path(folder).resolve()),  # W&B's own process may have started elsewhere
            version=Path(folder).name,
            group=group or Path(folder).parent.name,
            job_type=job_type,
            entity=entity,
            tags=list(dict.fromkeys([*(tags or ()), *(kind[:64] for kind in kinds)])),
            settings=wandb.Settings(silent=True, console="off", **_timeouts(mode, timeout)),
        )
        self._wandb_init["mode"] = mode
        self._wandb_init.pop("anonymous", None)  # Lightning sets it, and W&B warns that it means nothing
        self.every_n_steps, self.timeout = every_n_steps, timeout
        self._failed = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """W&B's run, or a stand-in that does nothing once W&B has failed."""
        return self._guarded(self._begin) or DummyExperiment()

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log, unless W&B has failed before."""
        self._guarded(super().log_metrics, metrics, step)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Log the config, unless W&B has failed before."""
        self._guarded(super().log_hyperparams, params)

    @rank_zero_only
    def close(self) -> None:
        """Finish the run, so that its files are complete and the next run of a sweep starts its own."""
        import wandb

        try:
            wandb.finish()
        except Exception as error:
            self._give_up(error)

    def _begin(self) -> Any:
        """Return Lightning's `experiment`, which begins the run at the first call: offline where online fails."""
        import wandb

        try:
            if self._wandb_init["mode"] == "online" and self._experiment is None:
                require_answer(wandb.setup().settings.base_url, self.timeout)
            return super().experiment
        except Exception as error:
            if self._wandb_init["mode"] != "online":
                raise
            warnings.warn(
                f"W&B: this run is logged offline, since it cannot begin online ({joined_lines(error)}); "
                f"wandb sync {self.save_dir}/wandb/offline-run-* uploads it later",
                stacklevel=4,
            )
            self._wandb_init["mode"] = "offline"
            wandb.teardown()  # W&B's own process holds the run's id, and would keep retrying
            return super().experiment

    def _guarded(self, action: Callable[..., Any], *args: Any) -> Any:
        """Call an action, unless W&B has failed before; on an error warn and return None."""
        if self._failed:
            return None
        try:
            return action(*args)
        except Exception as error:
            self._give_up(error)
            return None

    def _give_up(self, error: Exception) -> None:
        """Warn once and log no more; later errors follow from the first."""
        if not self._failed:
            warnings.warn(
                f"W&B failed and is off for the rest of this run: {joined_lines(error)}", stacklevel=4
            )
        self._failed = True


def _timeouts(mode: str, timeout: float) -> dict[str, Any]:
    """Return W&B's timeouts for its service; what it only writes to disk is waited for, however busy the machine."""
    return (
        dict.fromkeys(("init_timeout", "login_timeout", "finish_timeout"), timeout)
        if mode == "online"
        else {}
    )
