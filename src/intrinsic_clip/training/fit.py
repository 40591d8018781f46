"""Make the trainer of a run, fit from the last checkpoint on, and test."""

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.trainer.states import TrainerStatus
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loggers.build import build_loggers
from intrinsic_clip.loggers.wandb_identity import wandb_identity
from intrinsic_clip.loggers.wandb_logger import WandbLogger
from intrinsic_clip.probes import Probe
from intrinsic_clip.runs.results import CHECKPOINT
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.training.build import Training
from intrinsic_clip.training.checkpoints import AtomicCheckpointIO, ResumePoint, kept_steps
from intrinsic_clip.training.finals import final_numbers
from intrinsic_clip.training.progress import TrainingProgress
from intrinsic_clip.training.regularisation import SeededDraws
from intrinsic_clip.training.throughput import Throughput

# Lightning logs under the name of whichever of its packages was imported last.
ADVERTISING = {
    **{
        f"{package}.{module}": logging.WARNING
        for package in ("pytorch_lightning", "lightning.pytorch")
        for module in ("utilities.rank_zero", "accelerators.cuda")
    },
    "torch.utils.cpp_extension": logging.ERROR,
}
# Warnings about what this project does on purpose or PyTorch does to itself.
EXPECTED_WARNINGS = (
    "treespec, LeafSpec",
    "smaller than the logging interval",
    "sync_dist=True",
    r"module\(s\) in eval mode",
    "_prims_common.check",
    "looks like a logit scale",  # told of a run's settings before
)


def make_trainer(spec: RunSpec, training: Training, folder: Path, at_once: int) -> Trainer:
    """Instantiate the trainer of a run with its loggers, probes, checkpoints and progress bar.

    Args:
        spec: the run, or a chunk of one.
        training: what is trained.
        folder: the folder of the run or chunk.
        at_once: replicates in the largest chunk of the run; metrics files of all its chunks keep the same steps.
    """
    settings = spec.settings
    offered = {**wandb_identity(settings), "at_once": at_once}
    loggers = build_loggers(spec.cfg, str(folder), offered, partial(kept_steps, folder))
    throughput = Throughput(training.data.batch_size, len(training.module.replicates))
    callbacks: list[Callback] = [
        throughput,
        SeededDraws(settings["seed"]),
        *training.probes,
        ResumePoint(folder, settings["checkpoint_seconds"]),
    ]
    if settings["progress"]:
        callbacks.append(TrainingProgress())
    trainer: Trainer = instantiate(
        spec.cfg.trainer,
        _convert_="all",
        logger=loggers,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        enable_progress_bar=settings["progress"],
        enable_model_summary=False,
        default_root_dir=str(folder),
    )
    for logger in loggers:
        logger.log_hyperparams(settings)
    return trainer


def fit_and_test(trainer: Trainer, training: Training, folder: Path) -> dict[str, Any]:
    """Fit from the last checkpoint on, if there is one, then test; return the timings.

    Raises:
        ConfigError: the checkpoint is damaged, or Lightning refuses the settings.
        KeyboardInterrupt: the user pressed Ctrl-C.
    """
    module, data = training.module, training.data
    checkpoint = folder / CHECKPOINT
    resumed = checkpoint.exists()
    print(f"{'Resuming' if resumed else 'Training'}: {folder}", flush=True)
    for probe in training.probes:
        if isinstance(probe, Probe):
            probe.repeats_final = True  # nothing but callbacks stands between fit and test here
    started = time.perf_counter()
    try:
        trainer.fit(
            module, datamodule=data, ckpt_path=str(checkpoint) if resumed else None, weights_only=True
        )
        fitted = time.perf_counter()
        trainer.test(module, datamodule=data, verbose=False, weights_only=True)
        _log_final_table(trainer, training)
    except RuntimeError as error:
        if not resumed or not str(error).startswith("Error(s) in loading state_dict"):
            raise
        raise ConfigError(f"{checkpoint}: of another model; delete it to start again") from error
    except MisconfigurationException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    except SystemExit:
        if trainer.state.status == TrainerStatus.INTERRUPTED:  # Lightning turns Ctrl-C into exit code 1
            raise KeyboardInterrupt from None
        raise
    finally:
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.close()
    throughput = next(callback for callback in trainer.callbacks if isinstance(callback, Throughput))  # type: ignore[attr-defined]
    return {
        "fit_seconds": fitted - started,
        "test_seconds": time.perf_counter() - fitted,
        "resumed": resumed,
        "pairs_per_second": throughput.pairs_per_second,
    }


def _log_final_table(trainer: Trainer, training: Training) -> None:
    """Give W&B each replicate's final numbers as one table."""
    replicates = training.module.replicates
    if not replicates.shape:
        return
    finals, _ = final_numbers(training)
    columns = [value.double().flatten().tolist() for value in finals.values()]
    rows = [[*label, *numbers] for label, *numbers in zip(replicates.labels(), *columns, strict=True)]
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_table("replicates", ["output_dim", "replicate", *finals], rows)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence advertisements, and hints about deliberate choices of this project, during training."""
    levels = {name: logging.getLogger(name).level for name in ADVERTISING}
    for name, level in ADVERTISING.items():
        logging.getLogger(name).setLevel(level)
    with warnings.catch_warnings():
        for hint in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", f".*{hint}.*")
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
