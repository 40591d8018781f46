"""Run the verb `measure`: check the config, load embeddings, measure them, write and print the numbers."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from intrinsic_clip import config
from intrinsic_clip.config.paths import check_writable
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measure import loading
from intrinsic_clip.reports.measurement_printout import PAGE, PICTURE, RESULTS, printout
from intrinsic_clip.runs import atomic, results, versions

if TYPE_CHECKING:  # PyTorch takes seconds to import, and a finished measurement does without
    from intrinsic_clip.measure.measurements import Stage


def measure(cfg: DictConfig) -> dict[str, Any]:
    """Measure the embeddings that the config names, unless that is done already, and print the numbers.

    Returns:
        The content of measure.json.

    Raises:
        ConfigError: the config cannot be measured; nothing has been written then.
        OSError: the folder cannot be written to.
    """
    cfg = config.with_home(cfg)
    if cfg.get("encoder") is not None and cfg.get("data") is not None and "images" in cfg.data:
        cfg.data.images = True  # a model of images and captions wants these, not features
    settings = config.resolve(cfg)
    config.check_measure(settings)
    folder = loading.folder_of(settings)
    measurement = results.read_completed(folder, RESULTS)
    if measurement is None:
        _check_estimators(settings["estimators"])
        check_writable(folder)
        measurement = _load_and_measure(cfg, settings)
        _write(measurement, folder)
    else:
        print("Measured already.\n")
    print(printout(measurement, folder), flush=True)
    if settings["logger"] is not None:
        _log(cfg, measurement, folder)
    return measurement


def _load_and_measure(cfg: DictConfig, settings: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    from intrinsic_clip.measure.measurements import measure_embeddings

    if settings["threads"] is not None:
        torch.set_num_threads(settings["threads"])
    embeddings = loading.load(cfg, settings)
    numbers = measure_embeddings(
        **embeddings.sides,
        estimators=settings["estimators"],
        k=settings["k"],
        max_points=settings["max_points"],
        seed=settings["seed"],
        watch=_with_progress if settings["progress"] else iter,
    )
    numbers["notes"] = [*embeddings.notes, *numbers["notes"]]
    return {"status": "completed", "config": settings, "versions": versions.versions(), **numbers}


def _with_progress(stages: Sequence["Stage"]) -> Iterator["Stage"]:
    """Yield the stages beside a progress bar that names the one at work."""
    from tqdm import tqdm

    width = max(len(name) for name, _ in stages)
    with tqdm(stages, unit="stage", dynamic_ncols=True, file=sys.stderr) as bar, _ticking(bar.refresh):
        for name, work in bar:
            bar.set_description_str(name.ljust(width))
            yield name, work


@contextmanager
def _ticking(refresh: Callable[[], object]) -> Iterator[None]:
    """Refresh every second on a terminal, since a stage can take minutes and a frozen clock looks like a crash."""
    done = Event()

    def tick() -> None:
        while not done.wait(1):
            refresh()

    if sys.stderr.isatty():
        Thread(target=tick, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _check_estimators(names: Sequence[str]) -> None:
    from intrinsic_clip.dimension import registry

    try:
        registry.check_names(names)
    except ValueError as error:
        raise ConfigError(f"estimators: {error}") from error


def _write(measurement: Mapping[str, Any], folder: Path) -> None:
    """Write picture and page, and the numbers last: a folder that has them is complete."""
    from intrinsic_clip.reports.measurement_page import page
    from intrinsic_clip.reports.measurement_picture import draw

    picture = draw(measurement)
    html = page(measurement, picture)
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_atomically(folder / PICTURE, picture)
    atomic.write_atomically(folder / PAGE, html)
    results.write_results(folder, measurement, RESULTS)


def _log(cfg: DictConfig, measurement: Mapping[str, Any], folder: Path) -> None:
    from intrinsic_clip.loggers.build import build_loggers
    from intrinsic_clip.loggers.wandb_logger import WandbLogger

    (folder / results.METRICS).unlink(missing_ok=True)
    for logger in build_loggers(cfg, str(folder), {"group": "measure", "job_type": "measure"}):
        logger.log_hyperparams(measurement["config"])
        logger.log_metrics(
            {name: value for name, value in measurement["metrics"].items() if value is not None}, step=0
        )
        logger.finalize("success")
        if isinstance(logger, WandbLogger):
            logger.close()
