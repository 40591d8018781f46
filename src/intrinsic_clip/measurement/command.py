"""Run the verb `measure`: check the config, load embeddings, measure them, write and print the numbers."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from intrinsic_clip import config
from intrinsic_clip.config.paths import check_writable
from intrinsic_clip.errors import ConfigError, first_line
from intrinsic_clip.measurement import loading
from intrinsic_clip.measurement.health.row_facts import row_facts
from intrinsic_clip.measurement.inputs import Inputs
from intrinsic_clip.measurement.progress import Progress
from intrinsic_clip.measurement.two_models.second import Second, open_second
from intrinsic_clip.measurement.unchanged_files import check_address
from intrinsic_clip.reports.measurement_printout import BOTH, PAGE, PICTURE, RESULTS, printout
from intrinsic_clip.runs import atomic, results, versions


def measure(cfg: DictConfig) -> dict[str, Any]:
    """Measure the embeddings that the config names, unless that is done already, and print the numbers.

    Returns:
        The content of measure.json.

    Raises:
        ConfigError: the config cannot be measured; nothing has been written then.
        OSError: the folder cannot be written to.
    """
    cfg = loading.with_images(config.with_home(cfg))
    settings = config.resolve(cfg)
    config.check_measure(settings)
    if settings["check"] is not None:
        from intrinsic_clip.measurement.health.check import checked

        return checked(settings, partial(_measured, cfg), _export)
    measurement, inputs, folder = _measured(cfg, settings)
    if settings["export"] is not None:
        _export(measurement, inputs, folder)
    return measurement


def _measured(cfg: DictConfig, settings: Mapping[str, Any]) -> tuple[dict[str, Any], Inputs, Path]:
    """Return the measurement, which has been written and printed, the embeddings, and the folder."""
    if settings["export"] is not None:
        _check_export(Path(settings["export"]))
    folder = loading.folder_of(settings)
    inputs = Inputs(cfg, settings)
    measurement = _measured_already(folder)
    if measurement is None:
        _check_estimators(settings["estimators"])
        check_writable(folder)
        results.check_replaceable(folder, (PICTURE, BOTH, PAGE, RESULTS))
        numbers = _load_and_measure(inputs, settings)
        check_address(folder, settings, "measure")
        measurement = _write(numbers, folder)
    else:
        print(f"Measured already{loading.as_other_files(measurement['config'], settings)}.\n")
    print(printout(measurement, folder), flush=True)
    if settings["logger"] is not None:
        _log(cfg, measurement, folder)
    return measurement, inputs, folder


def _measured_already(folder: Path) -> dict[str, Any] | None:
    """Return the content of measure.json; None if there is none, or it is damaged, which is said."""
    measurement, reason = results.completed_or_damage(folder, RESULTS)
    if measurement is not None and "address" not in measurement:  # version 0 had no checksum
        try:
            printout(measurement, folder)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            measurement, reason = None, repr(error)
    if reason is not None:
        print(f"{folder / RESULTS}: damaged ({reason}); measured anew\n", flush=True)
    return measurement


def _check_export(path: Path) -> None:
    from intrinsic_clip.measurement.projections.stored import check_export_path

    check_export_path(path)


def _check_exportable(inputs: Inputs, settings: Mapping[str, Any]) -> None:
    from intrinsic_clip.measurement.projections.export import check

    check(inputs, settings)


def _export(measurement: Mapping[str, Any], inputs: Inputs, folder: Path) -> None:
    from intrinsic_clip.measurement.projections.export import export

    print(f"\n{export(inputs, inputs.settings, measurement, folder.name)}", flush=True)


def _load_and_measure(inputs: Inputs, settings: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    if settings["threads"] is not None:
        torch.set_num_threads(settings["threads"])
    _check_device(settings["device"])
    progress = Progress() if settings["progress"] else None
    shown: dict[str, Any] = {} if progress is None else {"watch": progress.watch, "report": progress.report}
    second = None
    if settings["against"] is not None:
        second = open_second(inputs)  # before anything is measured: their rows may be others
    if settings["export"] is not None:
        _check_exportable(inputs, settings)
    numbers = _numbers(inputs, shown)
    if settings["check"] is not None:
        numbers["rows"] = row_facts(inputs)
    if second is not None:
        numbers = _beside_second(numbers, inputs, second, shown)
    return {"status": "completed", "config": settings, "versions": versions.versions(), **numbers}


def _beside_second(
    numbers: dict[str, Any], inputs: Inputs, second: Second, shown: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the numbers with those of a second model and of its comparison with the first."""
    from intrinsic_clip.measurement.model import Model
    from intrinsic_clip.measurement.projections.fitting import most_rows
    from intrinsic_clip.measurement.two_models.beside import Options, beside, with_second

    settings = inputs.settings
    options = Options(
        settings["seed"],
        settings["max_points"],
        most_rows(settings["queries"], inputs.n),
        second.checked,
        second.ids,
        settings["against_y"] is not None,
        shown.get("watch", iter),
    )
    of_second = _numbers(second.inputs, shown)
    against = beside(Model.of_inputs(inputs), Model.of_inputs(second.inputs), of_second, options)
    if settings["check"] is not None:
        against["rows"] = row_facts(second.inputs)
    return with_second(numbers, against)


def _numbers(inputs: Inputs, shown: Mapping[str, Any]) -> dict[str, Any]:
    """Measure embeddings as their settings say."""
    from intrinsic_clip.measurement.large import Settings
    from intrinsic_clip.measurement.measurements import measure_embeddings, measure_sources

    settings = inputs.settings
    names = ("estimators", "k", "max_points", "queries", "seed", "device")
    chosen = {name: settings[name] for name in names}
    files = inputs.files
    if files is not None:
        chosen["device"] = chosen["device"] or "cpu"
        numbers = measure_sources(
            files.sources, Settings(**chosen, nan=settings["nan"], columns=files.columns), **shown
        )
        notes = files.notes
    else:
        embeddings = inputs.embeddings
        arguments: dict[str, Any] = {**embeddings.sides, **chosen, **shown, "groups": embeddings.grouping}
        numbers = dict(measure_embeddings(**arguments))
        notes = embeddings.notes
    numbers["notes"] = [*notes, *numbers["notes"]]
    return numbers


def _check_device(device: str | None) -> None:
    """Check that tensors can be put there, before rows are read."""
    if device is None:
        return
    import torch

    try:
        torch.device(device)
    except RuntimeError as error:  # it lists all kinds that PyTorch has ever had
        raise ConfigError(f"device={device}: must be cuda, cuda:0, …, or null for the CPU") from error
    try:
        torch.zeros(1, device=device, dtype=torch.float64)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise ConfigError(f"device={device}: {first_line(error)}") from error


def _check_estimators(names: Sequence[str]) -> None:
    from intrinsic_clip.dimension import registry

    try:
        registry.check_names(names)
    except ValueError as error:
        raise ConfigError(f"estimators: {error}") from error


def _write(measurement: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Write pictures and page, and the numbers last: a folder that has them is complete; return measure.json."""
    from intrinsic_clip.reports.measurement_page import page
    from intrinsic_clip.reports.measurement_picture import draw, draw_two_models

    contents: dict[str, str | bytes] = {PICTURE: draw(measurement), PAGE: page(measurement)}
    if "against" in measurement:
        contents[BOTH] = draw_two_models(measurement)
    atomic.make_folder(folder)
    for name, content in contents.items():
        atomic.write_atomically(folder / name, content)
    return results.write_results(folder, measurement, RESULTS)


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
