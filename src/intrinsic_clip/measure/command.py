"""The entry point for embeddings that are there already: compose → check → load → measure → write."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import W_OK, access
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from intrinsic_clip import config
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measure import loading
from intrinsic_clip.reports.measurement_printout import PAGE, PICTURE, RESULTS, report
from intrinsic_clip.runs import atomic, results, versions

if TYPE_CHECKING:  # PyTorch takes seconds to import: what is measured already does not wait for it
    from intrinsic_clip.measure.measurements import Stage


def measure(cfg: DictConfig) -> dict[str, Any]:
    """Measure what the config names, or find it measured; returns what its measure.json holds.

    Raises:
        ConfigError: before anything is written.
        OSError: where the folder cannot be written.
    """
    if cfg.encoder is not None and cfg.data is not None and "images" in cfg.data:
        cfg.data.images = True  # a model of images and captions wants these, not features
    settings = config.resolve(cfg)
    config.check_measure(settings)
    folder = loading.folder_of(settings)
    found = results.read_completed(folder, RESULTS)
    if found is None:
        _check_writable(folder)
        found = _measure(cfg, settings)
        _write(found, folder)
    else:
        print("Measured already.\n")
    print(report(found, folder), flush=True)
    if settings["logger"] is not None:
        _log(cfg, found, folder)
    return found


def _measure(cfg: DictConfig, settings: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    from intrinsic_clip.measure.measurements import measure_embeddings

    if settings["threads"] is not None:
        torch.set_num_threads(settings["threads"])
    given = loading.load(cfg, settings)
    numbers = measure_embeddings(
        given.embeddings["x"],
        given.embeddings.get("y"),
        given.embeddings.get("z"),
        estimators=settings["estimators"],
        k=settings["k"],
        max_points=settings["max_points"],
        seed=settings["seed"],
        watch=_with_progress if settings["progress"] else iter,
    )
    numbers["notes"] = [*given.notes, *numbers["notes"]]
    return {"status": "completed", "config": settings, "versions": versions.versions(), **numbers}


def _with_progress(stages: Sequence["Stage"]) -> Iterator["Stage"]:
    from tqdm import tqdm

    width = max(len(name) for name, _ in stages)
    with tqdm(stages, unit="stage", dynamic_ncols=True, file=sys.stderr) as bar, _ticking(bar.refresh):
        for name, work in bar:
            bar.set_description_str(name.ljust(width))
            yield name, work


@contextmanager
def _ticking(refresh: Callable[[], object]) -> Iterator[None]:
    """Refresh every second on a terminal: a stage can take minutes, and a clock that stands still worries."""
    over = Event()

    def tick() -> None:
        while not over.wait(1):
            refresh()

    if sys.stderr.isatty():
        Thread(target=tick, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _check_writable(folder: Path) -> None:
    """Before minutes of work, not after."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not there.is_dir() or not access(there, W_OK):
        raise ConfigError(f"{there}: not a folder that can be written to; output_dir=… names another")


def _write(found: Mapping[str, Any], folder: Path) -> None:
    """Picture, page, and the numbers last, since they say that the rest is there."""
    from intrinsic_clip.reports.measurement_page import page
    from intrinsic_clip.reports.measurement_picture import draw

    picture = draw(found)
    html = page(found, picture)
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_atomically(folder / PICTURE, picture)
    atomic.write_atomically(folder / PAGE, html)
    results.write_results(folder, found, RESULTS)


def _log(cfg: DictConfig, found: Mapping[str, Any], folder: Path) -> None:
    from intrinsic_clip.loggers.build import build_loggers
    from intrinsic_clip.loggers.wandb_logger import WandbLogger

    (folder / results.METRICS).unlink(missing_ok=True)
    for logger in build_loggers(cfg, str(folder), {"group": "measure", "job_type": "measure"}):
        logger.log_hyperparams(found["config"])
        logger.log_metrics(
            {name: value for name, value in found["metrics"].items() if value is not None}, step=0
        )
        logger.finalize("success")
        if isinstance(logger, WandbLogger):
            logger.close()
