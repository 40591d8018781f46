"""The training entry point: compose → check → fit → test → results."""

import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from intrinsic_clip import config, results
from intrinsic_clip.config import ConfigError
from intrinsic_clip.errors import in_one_line

if TYPE_CHECKING:  # PyTorch takes seconds to import: a run that is done already does not wait for it
    from pytorch_lightning import Callback, Trainer

    from intrinsic_clip.data import PairedData
    from intrinsic_clip.module import ContrastiveModule
    from intrinsic_clip.probes import Probe, TemperatureProbe


def train(cfg: DictConfig) -> dict[str, Any]:
    """Train one run, or finish it, or find it done; returns what its results.json holds.

    Raises:
        ConfigError: before anything is written.
        OSError: where the run folder cannot be written.
    """
    settings = config.resolve(cfg)
    folder = results.run_folder(settings)
    completed = results.read_completed(folder)
    if completed is not None:
        print(f"Done already: nothing to train.\n\n{results.report(completed, folder)}")
        return completed
    config.check(settings)
    data, module, probes = build(cfg, settings)
    folder.mkdir(parents=True, exist_ok=True)
    results.write_atomically(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(settings)))
    trainer = _trainer(cfg, settings, folder, probes)
    timings = _fit_and_test(trainer, module, data, folder)
    found = {
        "status": "completed",
        "config": settings,
        "seed": settings["seed"],
        "versions": results.versions(),
        "timings": timings,
        "shared_dim": data.shared_dim,
        "n_test": len(data.pairs("test")),
        "metrics": {
            name: results.summarise(value) for probe in probes for name, value in sorted(probe.latest.items())
        },
        "reasons": {name: reason for probe in probes for name, reason in probe.reasons.items()},
    }
    if trainer.is_global_zero:
        _leave(trainer, module, folder, found)
    return found


def build(
    cfg: DictConfig, settings: Mapping[str, Any]
) -> tuple["PairedData", "ContrastiveModule", list["Probe | TemperatureProbe"]]:
    """Data, module and probes of a config. The initial weights depend on the seed alone.

    Raises:
        ConfigError: where a value that only its class can judge is impossible.
    """
    import torch

    from intrinsic_clip.module import ContrastiveModule

    if settings["threads"] is not None:
        torch.set_num_threads(settings["threads"])
    try:
        data = instantiate(cfg.data)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings["seed"])
            f = instantiate(cfg.encoder)(input_dim=data.d_x)
            g = instantiate(cfg.encoder)(input_dim=data.d_y)
        similarity, temperature = instantiate(cfg.loss.similarity), instantiate(cfg.loss.temperature)
        module = ContrastiveModule(f, g, similarity, temperature, instantiate(cfg.optimizer))
        probes = [instantiate(probe) for probe in cfg.probes.values() if isinstance(probe, DictConfig)]
    except (InstantiationException, ValueError) as error:
        raise ConfigError(str(error.__cause__ or error).splitlines()[0]) from error
    return data, module, probes


def _trainer(
    cfg: DictConfig, settings: Mapping[str, Any], folder: Path, probes: list["Probe | TemperatureProbe"]
) -> "Trainer":
    from intrinsic_clip.progress import TrainingProgress
    from intrinsic_clip.resume import AtomicCheckpointIO, ResumePoint

    _quieten_lightning()
    loggers = [
        instantiate(node, **({"folder": str(folder)} if config.takes(node, "folder") else {}))
        for node in cfg.logger.values()
    ]
    callbacks: list[Callback] = [*probes, ResumePoint(folder, settings["checkpoint_seconds"])]
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
    trainer: "Trainer", module: "ContrastiveModule", data: "PairedData", folder: Path
) -> dict[str, Any]:
    """Fit from the last checkpoint on, if there is one, then test; returns the timings."""
    from pytorch_lightning.trainer.states import TrainerStatus
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    from intrinsic_clip.loggers import WandbLogger

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


def _leave(trainer: "Trainer", module: "ContrastiveModule", folder: Path, found: dict[str, Any]) -> None:
    """Everything a run leaves behind; results.json last, since it says that the rest is there."""
    from safetensors.torch import save

    from intrinsic_clip.picture import draw_run
    from intrinsic_clip.probes import take_embeddings

    test = take_embeddings(trainer, module, "test")
    tensors = {"x": test.x, "y": test.y, "x_raw": test.x_raw, "y_raw": test.y_raw, "z": test.z}
    tensors |= {f"label_{name}": labels for name, labels in test.labels.items()}
    kept = {name: tensor.cpu().contiguous() for name, tensor in tensors.items() if tensor is not None}
    results.write_atomically(folder / "embeddings.safetensors", save(kept))
    draw_run(results.read_metrics(folder), found, folder / "run.png")
    results.write_results(folder, found)
    print(f"\n{results.report(found, folder)}", flush=True)


def _quieten_lightning() -> None:
    """Keep away Lightning's advertisements, and its hints about what this project does on purpose."""
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.accelerators.cuda").setLevel(logging.WARNING)
    for hint in ("treespec, LeafSpec", "smaller than the logging interval", "sync_dist=True"):
        warnings.filterwarnings("ignore", f".*{hint}.*")


def main(overrides: list[str]) -> None:
    """Train as the overrides say; a sweep starts only if every run of it has a valid config."""
    if {"-m", "--multirun"} & set(overrides):
        overrides = [
            "--multirun",
            *(o for o in overrides if o not in ("-m", "--multirun")),
        ]  # Hydra wants it first
        _check_sweep([override for override in overrides if not override.startswith("-")])
    with _hydra_arguments(overrides):
        hydra.main(version_base="1.3", config_path=str(config.conf_folder()), config_name="train")(_task)()


def _task(cfg: DictConfig) -> None:
    # Lightning starts the other processes of a DDP run by this command line: that of one run, also in a sweep.
    sys.argv = [sys.argv[0], "train", *HydraConfig.get().overrides.task]
    with in_one_line():
        train(cfg)


def _check_sweep(overrides: list[str]) -> None:
    """Compose, check and build each run of a sweep; what only another sweeper understands is left to it."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    if any(override.is_sweep_override() and not override.is_discrete_sweep() for override in parsed):
        return
    with hydra.initialize_config_dir(str(config.conf_folder()), version_base="1.3"):
        for run in BasicSweeper.split_arguments(parsed, None)[0]:
            cfg = hydra.compose("train", overrides=run)
            settings = config.resolve(cfg)
            config.check(settings)
            build(cfg, settings)


@contextmanager
def _hydra_arguments(overrides: list[str]) -> Iterator[None]:
    """Show Hydra the overrides without the verb, and have it raise errors instead of printing a page."""
    given, sys.argv = sys.argv, [*sys.argv[:1], *overrides]
    setting = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = given
        os.environ.pop("HYDRA_FULL_ERROR")
        if setting is not None:
            os.environ["HYDRA_FULL_ERROR"] = setting
