"""Export the projection that a measurement advises, tried on rows that it was not fitted on."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intrinsic_clip import __version__
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.inputs import Inputs
from intrinsic_clip.runs import stored_embeddings
from intrinsic_clip.runs.contents import file_digest

if TYPE_CHECKING:
    from intrinsic_clip.metrics.projection import Basis
    from intrinsic_clip.metrics.projection_promise import Promise, PromisedProjection

CHOOSE = "nothing is exported; export_dims=… chooses a number"


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
    from intrinsic_clip.measurement.projections.stored import Provenance, write_projection

    basis, dims = _chosen(settings, measurement)
    promised, held_out = _fitted(inputs, settings, basis, dims)
    provenance = Provenance(
        method=basis,
        dims=dims,
        unit_rows=promised.sides["x"].unit_rows,
        whitened=settings["export_whiten"],
        fitted_rows=promised.fitted,
        promise=promised.promise,
        sources=_sources(settings, address),
        measurement=address,
        package=f"intrinsic-clip {__version__}",
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    path = Path(settings["export"])
    write_projection(path, promised, held_out, provenance)
    widths = ", ".join(f"{side} {len(each.mean):,}" for side, each in promised.sides.items())
    unit = "pairs" if "y" in promised.sides else "rows"
    return (
        f"exported {path}: {widths} → {dims:,} {'whitened ' if settings['export_whiten'] else ''}{basis} dimensions, "
        f"fitted on {promised.fitted:,} {unit}; {_kept(promised.promise, unit)}"
    )


def _fitted(
    inputs: Inputs, settings: Mapping[str, Any], basis: "Basis", dims: int
) -> tuple["PromisedProjection", Any]:
    """Fit the projection, and return it with the numbers of the held-out rows in their source."""
    from intrinsic_clip.measurement import large, pairs
    from intrinsic_clip.metrics.projection_promise import promised_pair, promised_principal

    rows, numbers = inputs.drawn(2 * pairs.FITTED, 2 * large.FITTED)
    options: dict[str, Any] = {
        "whiten": settings["export_whiten"],
        "max_rows": pairs.HELD_OUT,
        "seed": settings["seed"],
    }
    try:
        if "y" in rows:
            grouping = inputs.grouping(numbers)
            pairing = grouping.pairing(rows["x"], rows["y"])
            promised = promised_pair(rows["x"], rows["y"], dims, basis, **options, pairing=pairing)
        else:
            promised = promised_principal(rows["x"], dims, **options)
    except ConfigError as error:
        raise ConfigError(f"export_whiten: {error} (export_dims=…)") from error
    return promised, numbers[promised.held_out]


def _chosen(settings: Mapping[str, Any], measurement: Mapping[str, Any]) -> tuple["Basis", int]:
    """Return the directions and their number: those of the settings, or else those of the advice."""
    if "y" not in measurement["dims"]:
        if settings["export_basis"] == "canonical":
            raise ConfigError("export_basis=canonical: needs y=…, the partners of x")
        width, advised = measurement["dims"]["x"], measurement["advice"]["dims"]
        reason = "the number of principal components with 99 % of the variance does not exist"
        return "principal", _number(settings, width, advised, "99 % of the variance", reason)
    curves = measurement["curves"]
    basis: Basis = settings["export_basis"]
    if basis is None:
        basis = "principal" if "retrieval/principal" in curves else "canonical"
    curve = curves.get(f"retrieval/{basis}")
    if curve is None:
        widths = " and ".join(f"{d:,}" for d in measurement["dims"].values())
        raise ConfigError(
            f"export_basis={basis}: x and y have {widths} columns and no principal directions in common; canonical"
        )
    reason = f"recall@1 along {basis} directions does not show how many dimensions are needed"
    return basis, _number(
        settings, curve["at"][-1], curve["sufficient"], "recall@1 within one standard error", reason
    )


def _number(settings: Mapping[str, Any], width: int, advised: int | None, share: str, reason: str) -> int:
    """Return the number of dimensions to export.

    Raises:
        ConfigError: the chosen number is not possible, or none was chosen and none follows from the measurement.
    """
    chosen: int | None = settings["export_dims"]
    if chosen is not None:
        if chosen > width:
            raise ConfigError(f"export_dims={chosen}: must be at most {width:,}, the number of dimensions")
        return chosen
    if advised is None:
        raise ConfigError(f"export: {reason}, so {CHOOSE}")
    if advised >= width:
        raise ConfigError(f"export: no fewer than all {width:,} dimensions keep {share}, so {CHOOSE}")
    return advised


def _sources(settings: Mapping[str, Any], address: str) -> dict[str, dict[str, str]]:
    """Return the names of what was measured, and digests of its content."""
    if settings["run"] is not None:
        content = file_digest("run", Path(settings["run"]) / stored_embeddings.EMBEDDINGS)
        return {"run": {"name": Path(settings["run"]).name, "sha256": content}}
    if settings["data"] is not None:  # the address has the content of its files
        encoder = settings["encoder"]
        model = {} if encoder is None else {"model": str(encoder.get("model"))}
        return {"data": {"name": str(settings["data"]["_target_"]), "address": address, **model}}
    paths = {side: Path(settings[side]) for side in "xy" if settings[side] is not None}
    return {side: {"name": path.name, "sha256": file_digest(side, path)} for side, path in paths.items()}


def _kept(promise: "Promise", unit: str) -> str:
    """Return what is kept, with its error: `recall@1 0.87 ± 0.02 of 0.88 on 300 held-out pairs`."""
    from intrinsic_clip.reports.measurement_tables import plus_minus

    if promise.kind == "variance":
        percent = plus_minus(100 * promise.value, 100 * promise.standard_error)
        return f"{percent} % of the variance of {promise.n:,} held-out {unit}"
    value = plus_minus(promise.value, promise.standard_error)
    return f"{promise.kind} {value} of {promise.full:.3g} on {promise.n:,} held-out {unit}"
