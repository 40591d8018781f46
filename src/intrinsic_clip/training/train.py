"""The training entry point: compose → check → fit → test → results."""

import logging
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from intrinsic_clip import config
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loggers.build import build_loggers
from intrinsic_clip.loggers.wandb_labels import labels
from intrinsic_clip.reports.run_printout import report
from intrinsic_clip.runs import addresses, atomic, results, stored_embeddings, versions
from intrinsic_clip.runs.locks import held
from intrinsic_clip.training import chunks
from intrinsic_clip.training.build import build, with_replicates

if TYPE_CHECKING:  # PyTorch takes seconds to import: a run that is done already does not wait for it
    from pytorch_lightning import Callback, Trainer

    from intrinsic_clip.data import PairedData
    from intrinsic_clip.probes import AnyProbe
    from intrinsic_clip.training.module import ContrastiveModule


EMBEDDINGS_BYTES = 2**28


def train(cfg: DictConfig) -> dict[str, Any]:
    """Train one run, or finish it, or find it done; returns what its results.json holds.

    Raises:
        ConfigError: before anything is written.
        InUse: where another process trains this run.
        OSError: where the run folder cannot be written.
    """
    settings = config.resolve(cfg)
    folder = addresses.run_folder(settings)
    completed = results.read_completed(folder)
    if completed is not None:
        print(f"Done already: nothing to train.\n\n{report(completed, folder)}")
        return completed
    config.check(settings)
    with _denormals_flushed():
        groups = chunks.plan(cfg, settings, folder)
        with held(folder):
            (folder / results.FAILED).unlink(missing_ok=True)
            return results.read_completed(folder) or _run(cfg, settings, folder, groups)


@contextmanager
def _denormals_flushed() -> Iterator[None]:
    """Take numbers below 1e-38 for zero: small τ makes gradients full of them, at five times the cost of a step.

    This is a setting of each thread, and new threads inherit it, so it must be made before PyTorch starts its own.
    """
    import torch

    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _run(
    cfg: DictConfig, settings: Mapping[str, Any], folder: Path, groups: list[list[int]]
) -> dict[str, Any]:
    """Everything that writes the run folder."""
    atomic.write_atomically(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(dict(settings))))
    if len(groups) == 1:
        return _train_together(cfg, settings, folder)
    return _train_in_chunks(cfg, settings, folder, groups)


def _train_in_chunks(
    cfg: DictConfig, settings: Mapping[str, Any], folder: Path, groups: list[list[int]]
) -> dict[str, Any]:
    """Train groups of replicates one after the other, each in a folder that is resumed like a run; then join them."""
    folders = chunks.make_folders(folder, groups)
    for indices, part_folder in zip(groups, folders, strict=True):
        if results.read_completed(part_folder) is None:
            part = with_replicates(cfg, indices)
            _train_together(part, config.resolve(part), part_folder)
    found = chunks.put_together(folders, settings, folder)
    _finish(found, folder)
    return found


def _train_together(cfg: DictConfig, settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    from intrinsic_clip.training.throughput import Throughput

    data, module, probes = build(cfg, settings)
    throughput = Throughput(data.batch_size, len(module.replicates))
    trainer = _trainer(cfg, settings, folder, [throughput, *probes])
    timings = _fit_and_test(trainer, module, data, probes, folder)
    timings["pairs_per_second"] = throughput.pairs_per_second
    found = {
        "status": "completed",
        "config": settings,
        "seed": settings["seed"],
        "versions": versions.versions(),
        "timings": timings,
        "shared_dim": data.shared_dim,
        "n_test": len(data.pairs("test")),
        "metrics": {
            name: results.summarise(value) for probe in probes for name, value in sorted(probe.latest.items())
        },
        "reasons": {name: reason for probe in probes for name, reason in probe.reasons.items()},
    }
    if trainer.is_global_zero:
        _save_embeddings(trainer, module, folder)
        _finish(found, folder)
    return found


def _trainer(
    cfg: DictConfig, settings: Mapping[str, Any], folder: Path, measuring: list["Callback"]
) -> "Trainer":
    from intrinsic_clip.training.checkpoints import AtomicCheckpointIO, ResumePoint
    from intrinsic_clip.training.progress import TrainingProgress

    _quieten()
    loggers = build_loggers(cfg, str(folder), labels(settings))
    callbacks: list[Callback] = [*measuring, ResumePoint(folder, settings["checkpoint_seconds"])]
    if settings["progress"]:
        callbacks.append(TrainingProgress())
    trainer: Trainer = instantiate(
        cfg.trainer,
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


def _fit_and_test(
    trainer: "Trainer",
    module: "ContrastiveModule",
    data: "PairedData",
    probes: list["AnyProbe"],
    folder: Path,
) -> dict[str, Any]:
    """Fit from the last checkpoint on, if there is one, then test; returns the timings."""
    from pytorch_lightning.trainer.states import TrainerStatus
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    from intrinsic_clip.loggers.wandb_logger import WandbLogger

    checkpoint = folder / "last.ckpt"
    resumed = checkpoint.exists()
    print(f"{'Going on' if resumed else 'Training'}: {folder}", flush=True)
    started = time.perf_counter()
    try:
        trainer.fit(
            module, datamodule=data, ckpt_path=str(checkpoint) if resumed else None, weights_only=True
        )
        fitted = time.perf_counter()
        trainer.test(module, datamodule=data, verbose=False, weights_only=True)
        _log_table(trainer, module, probes)
    except (UnpicklingError, EOFError) as error:
        raise ConfigError(
            f"{checkpoint}: damaged ({type(error).__name__}); delete it to train anew"
        ) from error
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
    return {"fit_seconds": fitted - started, "test_seconds": time.perf_counter() - fitted, "resumed": resumed}


def _log_table(trainer: "Trainer", module: "ContrastiveModule", probes: list["AnyProbe"]) -> None:
    """Give W&B each replicate's final numbers as one table."""
    from intrinsic_clip.loggers.wandb_logger import WandbLogger

    if not module.replicates.shape:
        return
    finals = {name: value for probe in probes for name, value in sorted(probe.latest.items())}
    numbers = [value.double().flatten().tolist() for value in finals.values()]
    rows = [[*label, *row] for label, *row in zip(module.replicates.labels(), *numbers, strict=True)]
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_table("replicates", ["output_dim", "replicate", *finals], rows)


def _save_embeddings(trainer: "Trainer", module: "ContrastiveModule", folder: Path) -> None:
    """Of all replicates, or of the first where all would be a large file."""
    from safetensors.torch import save

    from intrinsic_clip.probes import take_embeddings

    test = take_embeddings(trainer, module, "test")
    tensors = {"x": test.x, "y": test.y, "x_raw": test.x_raw, "y_raw": test.y_raw, "z": test.z}
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    if module.replicates.shape and sum(tensor.nbytes for tensor in kept.values()) > EMBEDDINGS_BYTES:
        kept = {name: tensor[..., :1, :, :] for name, tensor in kept.items()}
    kept |= {f"label_{name}": labels for name, labels in test.labels.items()}
    content = save({name: tensor.cpu().contiguous() for name, tensor in kept.items()})
    atomic.write_atomically(folder / stored_embeddings.EMBEDDINGS, content)


def _finish(found: dict[str, Any], folder: Path) -> None:
    """The picture, the results (last, since they say that the rest is there), and a word about both."""
    from intrinsic_clip.reports.run_picture import draw_run

    draw_run(results.read_metrics(folder), found, folder / "run.png")
    results.write_results(folder, found)
    print(f"\n{report(found, folder)}", flush=True)


def _quieten() -> None:
    """Keep away advertisements, and hints about what this project does on purpose or PyTorch does to itself."""
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.accelerators.cuda").setLevel(logging.WARNING)
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    hints = (
        "treespec, LeafSpec",
        "smaller than the logging interval",
        "sync_dist=True",
        r"module\(s\) in eval mode",
        "_prims_common.check",
    )
    for hint in hints:
        warnings.filterwarnings("ignore", f".*{hint}.*")
