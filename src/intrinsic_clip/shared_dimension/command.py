"""Run the verb `shared`: check the config, find what to read, estimate, write and print."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from intrinsic_clip import config
from intrinsic_clip.config.paths import check_writable
from intrinsic_clip.errors import ConfigError, Interrupted
from intrinsic_clip.measurement import loading
from intrinsic_clip.measurement.unchanged_files import check_address
from intrinsic_clip.reports.shared_printout import PAGE, PICTURE, RESULTS, printout
from intrinsic_clip.runs import atomic, results, versions

if TYPE_CHECKING:
    from intrinsic_clip.measurement.progress import TrainingProgress
    from intrinsic_clip.shared_dimension.inputs import Estimated

KEPT = "*.training.json"
SETTLED_K = 99  # what addresses have held in place of a number of neighbours, of which there are none
OF_TRAINING = (
    "output_dim",
    "trainings",
    "steps",
    "budget",
)  # which encoders trained already do not depend on


def estimate(cfg: DictConfig) -> dict[str, Any]:
    """Estimate the shared dimension of the views that the config names, unless that is done, and print it.

    Returns:
        The content of shared.json.

    Raises:
        ConfigError: the views cannot be read or compared, or a file changed meanwhile; nothing has been written then.
        OSError: the folder cannot be written to.
    """
    cfg = loading.with_images(config.with_home(cfg))
    settings = config.resolve(cfg)
    config.check_shared(settings)
    folder = loading.folder_of(_content(settings), "shared")
    estimated, reason = results.completed_or_damage(folder, RESULTS)
    if reason is not None:
        print(f"{folder / RESULTS}: damaged ({reason}); estimated anew\n", flush=True)
    if estimated is None:
        check_writable(folder)
        results.check_replaceable(folder, (PICTURE, PAGE, RESULTS))
        with _interrupted_in_words(folder):
            found = _load_and_estimate(cfg, settings, folder)
            check_address(folder, _content(settings), "shared")
            estimated = _write(found, folder)
    else:
        print(f"Done already{loading.as_other_files(estimated['config'], settings)}.\n")
        estimated = {**estimated, "config": {**estimated["config"], "x": settings["x"], "y": settings["y"]}}
        _write_companions(estimated, folder, only_missing=True)
    _remove_kept(folder)
    print(printout(estimated, folder), flush=True)
    return estimated


@contextmanager
def _interrupted_in_words(folder: Path) -> Iterator[None]:
    """Say after Ctrl-C that the same command continues, where trainings have been kept."""
    try:
        yield
    except KeyboardInterrupt as error:
        if any(folder.glob(KEPT)):
            raise Interrupted("the same command continues behind the last finished training") from error
        raise


def _content(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the address depends on."""
    content = {**settings, "k": SETTLED_K}
    if settings["encoder"] is None or not settings["read_encoder"]:
        del content["read_encoder"]
    if settings["run"] is not None or "read_encoder" in content:
        content |= dict.fromkeys(OF_TRAINING)
    return content


def _load_and_estimate(cfg: DictConfig, settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    import torch

    from intrinsic_clip.measurement.progress import TrainingProgress
    from intrinsic_clip.shared_dimension.inputs import estimated_from

    if settings["threads"] is not None:
        torch.set_num_threads(settings["threads"])
    with TrainingProgress(settings["progress"]) as progress:
        try:
            found = estimated_from(cfg, settings, folder, progress.report)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        others = _alternatives(found, settings, progress)
    content = found.shares.as_dict()
    return {
        "status": "completed",
        "config": settings,
        "versions": versions.versions(),
        "dims": found.dims,
        **content,
        "notes": [*content["notes"], *_contradicted(content, others)],
        "advice": found.shares.advice,
        "alternatives": others,
    }


def _alternatives(
    found: "Estimated", settings: Mapping[str, Any], progress: "TrainingProgress"
) -> list[dict[str, Any]]:
    """Return what other methods say of the same views, where those are vectors."""
    from intrinsic_clip.shared_dimension.alternatives import alternatives

    if not settings["alternatives"] or found.views is None:
        return []
    progress.say("other methods")
    return alternatives(*found.views, found.shares, settings["seed"])


def _contradicted(content: Mapping[str, Any], others: list[dict[str, Any]]) -> list[str]:
    """Return a note where given encoders find nothing, and canonical correlations something; new ones have theirs."""
    from intrinsic_clip.shared_dimension.canonical_check import more_found

    trusted = (each["value"] for each in others if each["name"] == "cca" and each["note"] is None)
    found = next(trusted, None)
    if content["dimension"] != 0 or not found or content.get("canonical") is not None:
        return []
    return [more_found(found, 0)]


def _write(estimated: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Write picture and page, and the numbers last: a folder that has them is complete; return shared.json."""
    atomic.make_folder(folder)
    _write_companions(estimated, folder)
    return results.write_results(folder, estimated, RESULTS)


def _write_companions(estimated: Mapping[str, Any], folder: Path, only_missing: bool = False) -> None:
    """Write picture and page, or those that are missing."""
    if only_missing and all((folder / name).exists() for name in (PICTURE, PAGE)):
        return
    from intrinsic_clip.reports.shared_page import page
    from intrinsic_clip.reports.shared_picture import draw

    picture = draw(estimated)
    for name, content in ((PICTURE, picture), (PAGE, page(estimated))):
        if not (only_missing and (folder / name).exists()):
            atomic.write_atomically(folder / name, content)


def _remove_kept(folder: Path) -> None:
    """Remove the trainings that an estimate left which was killed; they are in the numbers now."""
    if any(folder.glob(KEPT)):
        from intrinsic_clip.shared_dimension.kept import KeptTrainings

        KeptTrainings(folder).remove()
