"""Open the embeddings of a second model, and make sure that its rows are those of the first."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from intrinsic_clip.errors import ConfigError, NonFiniteRows
from intrinsic_clip.measurement.group_files import check_same_ids
from intrinsic_clip.measurement.inputs import Inputs

if TYPE_CHECKING:
    import numpy as np


class Second(NamedTuple):
    """Embeddings of a second model.

    Attributes:
        inputs: the embeddings, under the settings of the first model.
        ids: what names the rows of x in the files of both, if anything does.
        checked: a sentence on how the rows were found to be the same.
    """

    inputs: Inputs
    ids: "np.ndarray | None"
    checked: str


def open_second(first: Inputs) -> Second:
    """Open the embeddings of the second model under the settings of the first.

    The rows of y are the second model's own, `against_y`, or else those of the first. Groups and classes are those of
    the first, whose rows are the same things: a column that only its tables have says it of both.

    Raises:
        ConfigError: they cannot be read, or their rows are others than those of the first.
    """
    settings = first.settings
    own_y = settings["against_y"] is not None
    changed = {
        "x": settings["against"],
        "x_key": settings["against_key"],
        "y": settings["against_y"] if own_y else settings["y"],
        "y_key": settings["against_y_key"] if own_y else settings["y_key"],
        **dict.fromkeys(("against", "against_y", "against_key", "against_y_key")),
    }
    second = Inputs(first.cfg, {**settings, **changed}, first)
    counts = _rows_as_read(first)
    with named_as_given(own_y):
        of_second = _rows_as_read(second)
        _refuse_nonfinite(second)
    check_same_counts(counts, of_second, own_y)
    check_same_ids(settings, second.settings)
    return Second(second, *_compared_ids(settings))


def _refuse_nonfinite(second: Inputs) -> None:
    """Refuse rows of files that are read block by block before the first model is measured, not after.

    Raises:
        NonFiniteRows: some rows hold NaN or infinity, and are not to be dropped.
    """
    from intrinsic_clip.dimension.row_source import finite_rows
    from intrinsic_clip.measurement.unusable_rows import for_neighbours, refusal

    if second.files is None or second.settings["nan"] == "drop":
        return
    sources = second.files.sources
    finite = {side: finite_rows(source) for side, source in sources.items()}
    if not all(bool(usable.all()) for usable in finite.values()):
        raise refusal(finite, sources, for_neighbours(second.settings["k"]), second.files.columns)


def _rows_as_read(inputs: Inputs) -> Mapping[str, int]:
    """Return the number of rows of each file, before groups make pairs of them and any are left out."""
    if inputs.files is None:
        return inputs.embeddings.as_read
    return {side: source.shape[0] for side, source in inputs.files.sources.items()}


def check_same_counts(first: Mapping[str, int], second: Mapping[str, int], own_y: bool) -> None:
    """Require as many rows of both models.

    Args:
        first, second: rows by side.
        own_y: the second model has a y of its own.

    Raises:
        ConfigError: they differ.
    """
    for side, name in {"x": "against", **({"y": "against_y"} if own_y else {})}.items():
        if first[side] != second[side]:
            raise ConfigError(
                f"{side} has {first[side]:,} rows, {name} has {second[side]:,} rows; row i of each must be of the same "
                "thing"
            )


@contextmanager
def named_as_given(own_y: bool) -> Iterator[None]:
    """Have errors call the second model's files by the settings that name them."""
    try:
        yield
    except ConfigError as error:
        message = re.sub(r"^x has ", "against has ", str(error).replace("x_key", "against_key"))
        if own_y:
            message = message.replace("y_key", "against_y_key").replace(", y has ", ", against_y has ")
        y = "against_y" if own_y else "y"
        message = re.sub(" of x and y differ ", f" of against and {y} differ ", message)
        message = re.sub(" of x and (labels|groups) differ ", r" of against and \1 differ ", message)
        message = re.sub(" of y and (labels|groups) differ ", rf" of {y} and \1 differ ", message)
        for side, setting in {"x": "against", "y": y}.items():
            if message.startswith(f"{side}="):
                message = f"{setting}={message.removeprefix(f'{side}=')}"
                break
        else:
            message = message if message.startswith("against") else f"against: {message}"
        if isinstance(error, NonFiniteRows):
            raise NonFiniteRows(message, {}) from error
        raise ConfigError(message) from error


def _compared_ids(settings: Mapping[str, Any]) -> tuple["np.ndarray | None", str]:
    """Compare what names the rows in the files of both models.

    Returns:
        The names of the rows of x, if both files have such, and a sentence on what was compared.

    Raises:
        ConfigError: they differ; the message names the first row.
    """
    from intrinsic_clip.data.formats.row_ids import row_ids

    shown, compared, doubts = None, [], []
    for one, other in (("x", "against"), ("y", "against_y")):
        if settings[one] is None or settings[other] is None:
            continue
        paths = Path(settings[one]), Path(settings[other])
        first, second = map(row_ids, paths)
        required = _required(paths, settings["drop"])
        for column in (name for name in first if name in second):
            told = _reordered((one, other), column, first[column], second[column], column in required)
            if told is None:
                compared.append(f"{column!r} of {one} and {other}")
                shown = first[column] if shown is None and one == "x" else shown
            doubts += [told] if told else []
    taken = "row i of x and row i of against are taken to be the same thing"
    if doubts:
        return shown, "; ".join([*doubts, f"{taken} all the same"])
    if compared:
        return shown, f"rows are the same by {', '.join(compared)}"
    return None, f"neither file names its rows, so {taken}"


def _required(paths: Sequence[Path], drop: Any) -> set[str]:
    """Return the names of the columns of ids that `drop` does not leave out of either file."""
    from intrinsic_clip.data.formats.column_choice import ColumnChoice
    from intrinsic_clip.data.formats.row_ids import id_names

    left_out = ColumnChoice.of(None, drop).drop
    return set.intersection(*(set(id_names(path, left_out)) for path in paths))


def _reordered(
    sides: tuple[str, str], column: str, first: "np.ndarray", second: "np.ndarray", required: bool
) -> str | None:
    """Return None for the same names, else a sentence on those in another order; empty if they are not required.

    Raises:
        ConfigError: they differ and are required to be the same.
    """
    from intrinsic_clip.data.formats.compared_ids import REORDERED, difference

    found = difference(first, second)
    if found is None:
        return None
    told = found.told(column, sides)
    if required:
        remedy = REORDERED if found.reordered else f"drop={column} does not compare it"
        raise ConfigError(f"{told}; {remedy}")
    return f"{told}, the same ids in another order" if found.reordered else ""
