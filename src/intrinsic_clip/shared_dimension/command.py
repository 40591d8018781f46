"""Run the verb `shared`: check the config, load both views, estimate, write and print."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from intrinsic_clip import config
from intrinsic_clip.config.paths import check_writable
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measure import loading
from intrinsic_clip.reports.shared_printout import PICTURE, RESULTS, printout
from intrinsic_clip.runs import atomic, results, versions

LEAST_PAIRS = 100


def estimate(cfg: DictConfig) -> dict[str, Any]:
    """Estimate the shared dimension of the views that the config names, unless that is done, and print it.

    Returns:
        The content of shared.json.

    Raises:
        ConfigError: the views cannot be read or compared; nothing has been written then.
        OSError: the folder cannot be written to.
    """
    cfg = loading.with_images(config.with_home(cfg))
    settings = config.resolve(cfg)
    config.check_shared(settings)
    reading = {**settings, "run": None, "k": LEAST_PAIRS - 1}
    folder = loading.folder_of(reading, "shared")
    estimated, reason = results.completed_or_damage(folder, RESULTS)
    if reason is not None:
        print(f"{folder / RESULTS}: damaged ({reason}); estimated anew\n", flush=True)
    if estimated is None:
        check_writable(folder)
        results.check_replaceable(folder, (PICTURE, RESULTS))
        estimated = _write(_load_and_estimate(cfg, reading, settings), folder)
    else:
        print("Done already.\n")
    print(printout(estimated, folder), flush=True)
    return estimated


def _load_and_estimate(
    cfg: DictConfig, reading: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    import torch

    from intrinsic_clip.shared_dimension.alternatives import alternatives
    from intrinsic_clip.shared_dimension.estimate import shared
    from intrinsic_clip.shared_dimension.progress import Progress

    if settings["threads"] is not None:
        torch.set_num_threads(settings["threads"])
    pairs = loading.load(cfg, reading)
    loading.subsample(pairs, settings["subsample"], settings["seed"])
    x, y = pairs.sides["x"], pairs.sides["y"]
    with Progress(settings["progress"]) as progress:
        try:
            shares = shared(
                x,
                y,
                output_dim=settings["output_dim"],
                replicates=settings["trainings"],
                steps=settings["steps"],
                widest=settings["widest"],
                seed=settings["seed"],
                budget=settings["budget"],
                report=progress.report,
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error
        progress.say("other methods")
        others = alternatives(x, y, shares, settings["seed"]) if settings["alternatives"] else []
    numbers = shares.as_dict()
    numbers["notes"] = [*pairs.notes, *numbers["notes"]]
    return {
        "status": "completed",
        "config": settings,
        "versions": versions.versions(),
        "dims": {"x": x.shape[1], "y": y.shape[1]},
        **numbers,
        "alternatives": others,
    }


def _write(estimated: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Write the picture, and the numbers last: a folder that has them is complete; return shared.json."""
    from intrinsic_clip.reports.shared_picture import draw

    picture = draw(estimated)
    atomic.make_folder(folder)
    atomic.write_atomically(folder / PICTURE, picture)
    return results.write_results(folder, estimated, RESULTS)
