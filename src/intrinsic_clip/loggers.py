"""Where numbers go during training: a metrics file in the run folder, and W&B, offline by default."""

import os
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning.loggers as lightning_loggers
from pydantic import PositiveFloat, PositiveInt
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.loggers.logger import DummyExperiment, Logger, rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from intrinsic_clip.replicates import Replicates
from intrinsic_clip.results import METRICS, naming

HEADER = "step,epoch,metric,output_dim,replicate,value\n"


def log_replicates(
    trainer: Trainer, module: LightningModule, metrics: Mapping[str, Tensor], step: int
) -> None:
    """Log numbers by name, each `(*R,)`: every replicate's to a MetricsFile, mean and spread to all other loggers."""
    replicates, epoch = replicates_of(module), trainer.current_epoch
    for logger in trainer.loggers:
        if isinstance(logger, MetricsFile):
            once = {name: value[None] for name, value in metrics.items()}
            logger.log_each(once, replicates, [step], epoch)
        else:
            logger.log_metrics({**summaries(metrics, replicates), "epoch": epoch}, step=step)


def log_steps(
    trainer: Trainer, module: LightningModule, metrics: Mapping[str, Tensor], steps: Sequence[int]
) -> None:
    """The same of numbers that come at each step, `(steps, *R)` each.

    A MetricsFile takes every n-th step with n the number of replicates, so that its size does not grow with them, and
    another logger as many as its attribute `every_n_steps` says, where it has one.
    """
    replicates, epoch = replicates_of(module), trainer.current_epoch
    for logger in trainer.loggers:
        in_file = isinstance(logger, MetricsFile)
        every = len(replicates) if in_file else getattr(logger, "every_n_steps", 1)
        places = [place for place, step in enumerate(steps) if step % every == 0]
        if not places:
            continue
        if isinstance(logger, MetricsFile):
            kept = {name: value[places] for name, value in metrics.items()}
            logger.log_each(kept, replicates, [steps[place] for place in places], epoch)
            continue
        for place in places:
            one = {name: value[place] for name, value in metrics.items()}
            logger.log_metrics({**summaries(one, replicates), "epoch": epoch}, step=steps[place])


def replicates_of(module: LightningModule) -> Replicates:
    """What the leading axes of a module's numbers are; those of anyone's LightningModule have none."""
    return getattr(module, "replicates", Replicates())


def summaries(metrics: Mapping[str, Tensor], replicates: Replicates) -> dict[str, float]:
    """Mean over replicates by name, and `<name>/std` where there are several; `<name>/d=19` where d is an axis."""
    found = {}
    for name, value in metrics.items():
        for key, row in by_output_dim(name, value.double(), replicates):
            found[key] = float(row.mean())
            if row.numel() > 1:
                found[f"{key}/std"] = float(row.std())
    return found


def by_output_dim(name: str, value: Tensor, replicates: Replicates) -> Iterator[tuple[str, Tensor]]:
    """A value `(*R, …)` under its name, or each row of its first axis under `<name>/d=19`, where that axis is d."""
    if replicates.output_dims is None:
        yield name, value
        return
    for d, row in zip(replicates.output_dims, value, strict=True):
        yield f"{name}/d={d}", row


class MetricsFile(Logger):
    """Appends to `metrics.csv`, one row per number: step, epoch, metric, output_dim, replicate, value.

    The long form takes new metrics at any time and can be cut back to a checkpoint, which Lightning's
    CSVLogger cannot. `pandas.read_csv(…).pivot_table(index="step", columns="metric", values="value")` is the wide one.

    Args:
        folder: the run folder.
        buffer: rows held back before they are written.
    """

    def __init__(self, folder: str, buffer: int = 2000) -> None:
        super().__init__()
        self.path, self.buffer = Path(folder) / METRICS, buffer
        self._rows: list[str] = []

    @property
    def name(self) -> str:
        """Of the logger."""
        return "metrics"

    @property
    def version(self) -> str:
        """None is kept: a run folder holds one run."""
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add one row per number; whatever is not a number is left to other loggers."""
        epoch = metrics.get("epoch", "")
        for name, value in metrics.items():
            if name != "epoch" and isinstance(value, int | float):
                self._rows.append(f"{step},{epoch},{name},,,{value!r}\n")
        self._flush_if_full()

    @rank_zero_only
    def log_each(
        self, metrics: Mapping[str, Tensor], replicates: Replicates, steps: Sequence[int], epoch: int
    ) -> None:
        """Add one row per step, number and replicate of metrics `(steps, *R)`."""
        labels = [
            ",".join("" if axis is None else str(axis) for axis in label) for label in replicates.labels()
        ]
        columns = [(name, value.double().reshape(len(steps), -1).tolist()) for name, value in metrics.items()]
        for place, step in enumerate(steps):
            for name, rows in columns:
                if len(rows[place]) != len(labels):  # somebody else's module, whose axes are its own
                    labels = [f",{index}" for index in range(len(rows[place]))]
                for label, number in zip(labels, rows[place], strict=True):
                    self._rows.append(f"{step},{epoch},{name},{label},{number!r}\n")
        self._flush_if_full()

    def _flush_if_full(self) -> None:
        if len(self._rows) > self.buffer:
            self.flush()

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The resolved config lies beside the file already."""

    @rank_zero_only
    def flush(self) -> int:
        """Write what is held back; returns the file's size in bytes."""
        rows, self._rows = self._rows, []
        with naming(self.path), self.path.open("a") as file:
            if file.tell() == 0:
                file.write(HEADER)
            file.writelines(rows)
            file.flush()
            os.fsync(file.fileno())
            return file.tell()

    @rank_zero_only
    def truncate(self, size: int) -> None:
        """Cut the file back to `size` bytes; rows not yet written are those of the run that begins."""
        if self.path.exists():
            os.truncate(self.path, size)

    @rank_zero_only
    def save(self) -> None:
        """Lightning's word for `flush`; nothing happens where nothing is held back."""
        if self._rows:
            self.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the rest, also after a failure."""
        self.save()


class WandbLogger(lightning_loggers.WandbLogger):
    """Lightning's W&B logger with this project's defaults, that never stops a training.

    Where an online run cannot begin, it goes on offline, and `wandb sync` uploads it. Where the service fails later,
    W&B's own process tries on and says so in the end; the files are whole, and `wandb sync --include-online` uploads
    them.

    Args:
        folder: the run folder `…/<name>/<hash>`. W&B's files go to `wandb/` in it, the hash is W&B's run id, so
            a run that is resumed goes on under the same one.
        group: runs whose mean and spread W&B's charts show. None: `<name>`.
        mode: `offline` needs no account and no network; `online`; `disabled`.
        every_n_steps: how many of the per-step numbers it gets; each costs W&B about a fifth of a small step,
            and its charts show 1,500 points at most. metrics.csv has them all.
        timeout: seconds to wait for the service when an online run begins, and again when it ends.
        kinds: tags beside `tags`, cut to the 64 characters that W&B allows.
        project, entity, tags, job_type, name: as in `wandb.init`.
    """

    def __init__(
        self,
        folder: str,
        group: str | None = None,
        mode: Literal["offline", "online", "disabled"] = "offline",
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

        super().__init__(
            name=name,
            project=project,
            save_dir=str(Path(folder).resolve()),  # W&B's own process may have started elsewhere
            version=Path(folder).name,
            group=group or Path(folder).parent.name,
            job_type=job_type,
            offline=mode == "offline",
            entity=entity,
            tags=list(dict.fromkeys([*(tags or ()), *(kind[:64] for kind in kinds)])),
            settings=wandb.Settings(silent=True, console="off", **_waits(mode, timeout)),
        )
        self._wandb_init["mode"] = mode
        self._wandb_init.pop("anonymous", None)  # Lightning sets it, and W&B warns that it means nothing
        self.every_n_steps = every_n_steps
        self._failed = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run, or a stand-in that does nothing once W&B has failed."""
        return self._attempt(self._run) or DummyExperiment()

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log, unless W&B has failed before."""
        self._attempt(super().log_metrics, metrics, step)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Log the config, unless W&B has failed before."""
        self._attempt(super().log_hyperparams, params)

    @rank_zero_only
    def close(self) -> None:
        """Finish the run, so that its files are whole and the next run of a sweep starts its own."""
        import wandb

        try:
            wandb.finish()
        except Exception as error:
            self._give_up(error)

    def _run(self) -> Any:
        """Lightning's `experiment`, which begins the run when it is first asked for."""
        import wandb

        try:
            return super().experiment
        except Exception as error:
            if self._wandb_init["mode"] != "online":
                raise
            warnings.warn(
                f"W&B: this run goes on offline, since it cannot begin online ({_one_line(error)}); "
                f"wandb sync {self.save_dir}/wandb/offline-run-* uploads it later",
                stacklevel=4,
            )
            self._wandb_init["mode"] = "offline"
            wandb.teardown()  # W&B's own process holds the run's id, and would go on trying
            return super().experiment

    def _attempt(self, action: Callable[..., Any], *args: Any) -> Any:
        if self._failed:
            return None
        try:
            return action(*args)
        except Exception as error:
            self._give_up(error)
            return None

    def _give_up(self, error: Exception) -> None:
        """Warn once; a second error, inside the action that failed or at the end, follows from the first."""
        if not self._failed:
            warnings.warn(f"W&B failed and is off for the rest of this run: {_one_line(error)}", stacklevel=4)
        self._failed = True


def _waits(mode: str, timeout: float) -> dict[str, Any]:
    """How long W&B waits for its service; what it writes to the disk alone is waited for, however busy the machine."""
    return (
        dict.fromkeys(("init_timeout", "login_timeout", "finish_timeout"), timeout)
        if mode == "online"
        else {}
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
