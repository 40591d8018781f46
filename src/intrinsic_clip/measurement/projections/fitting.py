"""Choose the dimensions of a projection by a measurement, and fit it to rows that the measurement drew."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from intrinsic_clip import __version__
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.advice import MAPPED_RULE, RULE

if TYPE_CHECKING:
    from torch import Tensor

    from intrinsic_clip.measurement.groups import Grouping
    from intrinsic_clip.measurement.model import Model
    from intrinsic_clip.measurement.projections.reduce import Reduce
    from intrinsic_clip.measurement.projections.stored import Provenance
    from intrinsic_clip.metrics.projection import Basis
    from intrinsic_clip.metrics.projection_promise import PromisedProjection


class Names(NamedTuple):
    """Names that messages give to the settings of a projection, and to making one."""

    whole: str = "export"
    dims: str = "export_dims"
    basis: str = "export_basis"
    whiten: str = "export_whiten"
    made: str = "exported"


EXPORT = Names()


@dataclass(frozen=True)
class Choice:
    """A user's choice of a projection.

    Attributes:
        dims: dimensions to keep; None: those that the advice says are enough.
        basis: directions; None: those of the advice.
        whiten: whether each dimension gets the same spread.
        names: of these, for messages.
    """

    dims: int | None
    basis: "Basis | None"
    whiten: bool
    names: Names = EXPORT


def check_possible(choice: Choice, widths: Mapping[str, int]) -> None:
    """Check a choice against the columns of x, and of y if there is one; the numbers of a measurement are not needed.

    Raises:
        ConfigError: the choice is not possible.
    """
    names, dims, of = choice.names, choice.dims, [widths[side] for side in "xy" if side in widths]
    if choice.basis not in (None, "principal", "canonical"):
        raise ConfigError(f"{names.basis}={choice.basis}: must be principal or canonical")
    if choice.basis == "canonical" and "y" not in widths:
        raise ConfigError(f"{names.basis}=canonical: needs y=…, the partners of x")
    if choice.basis == "principal" and len(set(of)) > 1:
        listed = " and ".join(f"{width:,}" for width in of)
        raise ConfigError(
            f"{names.basis}=principal: x and y have {listed} columns and no principal directions in common; canonical"
        )
    if dims is not None and dims > min(of):
        raise ConfigError(f"{names.dims}={dims}: must be at most {min(of):,}, the number of dimensions")
    if dims is not None and dims < 1:
        raise ConfigError(f"{names.dims}={dims}: must be at least 1")


def chosen(choice: Choice, measurement: Mapping[str, Any]) -> tuple["Basis", int]:
    """Return the directions and their number: those of the choice, or else those of the advice.

    Raises:
        ConfigError: no smaller number of dimensions is enough and none was chosen, or the choice is not possible.
    """
    check_possible(choice, measurement["dims"])
    advice = measurement["advice"]
    if "y" not in measurement["dims"]:
        reason = "the number of principal components with 99 % of the variance does not exist"
        width = measurement["dims"]["x"]
        return "principal", _number(choice, width, advice["dims"], "99 % of the variance", reason)
    basis: Basis = choice.basis or advice["basis"]
    curve = measurement["curves"][f"retrieval/{basis}"]
    reason = f"recall@1 along {basis} directions does not show how many dimensions are needed"
    advised = advice["dims"] if basis == advice["basis"] else curve["sufficient"]
    share = MAPPED_RULE if advice["rule"] == MAPPED_RULE else f"recall@1 {RULE}"
    return basis, _number(choice, curve["at"][-1], advised, share, reason)


def _number(choice: Choice, width: int, advised: int | None, share: str, reason: str) -> int:
    """Return the number of dimensions to keep.

    Raises:
        ConfigError: none was chosen and none follows from the measurement.
    """
    names = choice.names
    if choice.dims is not None:
        return choice.dims
    instead = f"so nothing is {names.made}; {names.dims}=… chooses a number"
    if advised is None:
        raise ConfigError(f"{names.whole}: {reason}, {instead}")
    if advised >= width:
        raise ConfigError(f"{names.whole}: no fewer than all {width:,} dimensions keep {share}, {instead}")
    return advised


def fit(
    rows: Mapping[str, "Tensor"],
    choice: Choice,
    basis: "Basis",
    dims: int,
    seed: int,
    grouping: "Grouping",
) -> "PromisedProjection":
    """Return the projection, fitted to one half of the rows and tried on the other.

    Args:
        rows: of x, and of y if there is one, in the order in which they were drawn.
        choice: as for `chosen`.
        basis, dims: as `chosen` returns them.
        seed: of the measurement.
        grouping: groups and classes of these rows.

    Raises:
        ConfigError: a dimension has no spread, so that it cannot be whitened.
    """
    from intrinsic_clip.measurement import pairs
    from intrinsic_clip.metrics.projection_promise import promised_pair, promised_principal

    options: dict[str, Any] = {"whiten": choice.whiten, "max_rows": pairs.HELD_OUT, "seed": seed}
    try:
        if "y" in rows:
            pairing = grouping.pairing(rows["x"], rows["y"])
            return promised_pair(rows["x"], rows["y"], dims, basis, **options, pairing=pairing)
        return promised_principal(rows["x"], dims, **options)
    except ConfigError as error:
        raise ConfigError(f"{choice.names.whiten}: {error} ({choice.names.dims}=…)") from error


def most_rows(queries: int | str | None, n: int) -> int:
    """Return how many of n rows a projection is fitted to and tried on, at most."""
    from intrinsic_clip.dimension.queries import every_one
    from intrinsic_clip.measurement import large, pairs

    return 2 * (pairs.FITTED if every_one(queries, n) else large.FITTED)  # type: ignore[arg-type]


def provenance_of(
    promised: "PromisedProjection",
    choice: Choice,
    basis: "Basis",
    dims: int,
    sources: dict[str, dict[str, str]],
    address: str,
) -> "Provenance":
    """Return what a projection is, and where it comes from.

    Args:
        promised: the projection.
        choice, basis, dims: of it.
        sources: names and content digests of what the rows were read from.
        address: of the measurement that advised it.
    """
    from intrinsic_clip.measurement.projections.stored import Provenance

    return Provenance(
        method=basis,
        dims=dims,
        unit_rows=promised.sides["x"].unit_rows,
        whitened=choice.whiten,
        fitted_rows=promised.fitted,
        promise=promised.promise,
        sources=sources,
        measurement=address,
        package=f"intrinsic-clip {__version__}",
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def fit_to_rows(
    model: "Model", choice: Choice, settings: Mapping[str, Any], measurement: Mapping[str, Any]
) -> "Reduce":
    """Return the projection of rows in memory that a measurement of them advises, or that is chosen.

    Args:
        model: the rows; those that are not finite are left out.
        choice: of the user.
        settings: of the measurement.
        measurement: the numbers, with the advice.

    Raises:
        ConfigError: as of `chosen` and `fit`.
    """
    from intrinsic_clip.measurement.projections.reduce import Reduce
    from intrinsic_clip.measurement.projections.stored import stored

    basis, dims = chosen(choice, measurement)
    seed = settings["seed"]
    numbers = model.drawn(seed)[: most_rows(settings["queries"], model.total)]
    promised = fit(model.rows(numbers), choice, basis, dims, seed, model.grouping_of(numbers))
    shapes = {side: " × ".join(map(str, source.shape)) for side, source in model.sources.items()}
    origins = {side: {"name": side, "shape": shape} for side, shape in shapes.items()}
    provenance = provenance_of(promised, choice, basis, dims, origins, "measure_embeddings")
    return Reduce(stored(promised, numbers[promised.held_out], provenance))
