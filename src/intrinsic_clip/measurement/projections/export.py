"""Export the projection that a measurement advises, tried on rows that it was not fitted on."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intrinsic_clip.measurement.inputs import Inputs
from intrinsic_clip.measurement.projections.fitting import (
    Choice,
    check_possible,
    chosen,
    fit,
    most_rows,
    provenance_of,
)
from intrinsic_clip.runs.contents import source_digest
from intrinsic_clip.runs.run_folder import run_digest

if TYPE_CHECKING:
    from intrinsic_clip.metrics.projection_promise import Promise


def export(inputs: Inputs, settings: Mapping[str, Any], measurement: Mapping[str, Any], address: str) -> str:
    """Write the projection, and return a line that says what it is and what it keeps.

    Args:
        inputs: the embeddings that were measured.
        settings: of the command.
        measurement: the numbers, with the advice.
        address: of the measurement.

    Raises:
        ConfigError: no smaller number of dimensions is enough and none was chosen, or the choice is not possible;
            nothing has been written then.
        OSError: the file cannot be written.
    """
    from intrinsic_clip.measurement.model import Model
    from intrinsic_clip.measurement.projections.stored import write_projection

    choice = _choice(settings)
    basis, dims = chosen(choice, measurement)
    inputs.check_numbered()
    model, seed = Model.of_inputs(inputs), settings["seed"]
    numbers = model.drawn(seed)[: most_rows(settings["queries"], inputs.n)]
    promised = fit(model.rows(numbers), choice, basis, dims, seed, model.grouping_of(numbers))
    sources = _sources(settings, address)
    provenance = provenance_of(promised, choice, basis, dims, sources, address)
    path = Path(settings["export"])
    write_projection(path, promised, numbers[promised.held_out], provenance)
    widths = ", ".join(f"{side} {len(each.mean):,}" for side, each in promised.sides.items())
    unit = "pairs" if "y" in promised.sides else "rows"
    return (
        f"exported {path}: {widths} → {dims:,} {'whitened ' if choice.whiten else ''}{basis} dimensions, "
        f"fitted on {promised.fitted:,} {unit}; {_kept(promised.promise, unit)}"
    )


def check(inputs: Inputs, settings: Mapping[str, Any]) -> None:
    """Check, before anything is measured, that the embeddings have a projection such as the settings choose.

    Raises:
        ConfigError: they have none.
    """
    check_possible(_choice(settings), {side: rows.shape[1] for side, rows in inputs.sources.items()})
    inputs.check_numbered()


def _choice(settings: Mapping[str, Any]) -> Choice:
    return Choice(settings["export_dims"], settings["export_basis"], settings["export_whiten"])


def _sources(settings: Mapping[str, Any], address: str) -> dict[str, dict[str, str]]:
    """Return the names of what was measured, and digests of its content."""
    if settings["run"] is not None:
        content = run_digest(settings["run"])
        return {"run": {"name": Path(settings["run"]).name, "sha256": content}}
    if settings["data"] is not None:  # the address has the content of its files
        encoder = settings["encoder"]
        model = {} if encoder is None else {"model": str(encoder.get("model"))}
        return {"data": {"name": str(settings["data"]["_target_"]), "address": address, **model}}
    return {
        side: {"name": Path(settings[side]).name, "sha256": source_digest(side, settings[side])}
        for side in "xy"
        if settings[side] is not None
    }


def _kept(promise: "Promise", unit: str) -> str:
    """Return what is kept, with its error: `recall@1 0.87 ± 0.02 of 0.88 on 300 held-out pairs`."""
    from intrinsic_clip.reports.number_format import plus_minus, to_digits_of

    if promise.kind == "variance":
        percent = plus_minus(100 * promise.value, 100 * promise.standard_error)
        return f"{percent} % of the variance of {promise.n:,} held-out {unit}"
    value = plus_minus(promise.value, promise.standard_error)
    full = to_digits_of(promise.full, promise.standard_error)
    return f"{promise.kind} {value} of {full} on {promise.n:,} held-out {unit}"
