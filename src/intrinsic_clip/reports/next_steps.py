"""Say what to do after a measurement, with the commands to type."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NAMED = (  # settings that say which rows are measured, and that a command can name again as they are
    *("x", "y", "x_key", "y_key", "columns", "drop", "run"),
    *("groups", "groups_key", "labels", "labels_key", "subsample"),
)
CUT = "cut.safetensors"


@dataclass(frozen=True)
class Step:
    """One thing to do.

    Attributes:
        reason: a sentence.
        code: a command, or a line of Python; empty where there is none.
    """

    reason: str
    code: str = ""


def next_steps(measurement: Mapping[str, Any]) -> list[Step]:
    """Return what follows from a measurement, the most pressing first."""
    return [*_doubts(measurement), *_projection(measurement), *_more(measurement)]


def _doubts(measurement: Mapping[str, Any]) -> Iterator[Step]:
    count = len(measurement["notes"])
    if count:
        notes = "the note" if count == 1 else f"the {count} notes"
        yield Step(f"Read {notes} below first: what was decided while reading, and what may be wrong.")


def _projection(measurement: Mapping[str, Any]) -> Iterator[Step]:
    advice, config = measurement["advice"], measurement["config"]
    if measurement.get("joined") and by_command(config):
        yield Step(
            "A projection is exported of files whose rows i belong together; these pairs are made of ids of both."
        )
        return
    dims, width = advice["dims"], advice["of"]
    if dims is None or dims >= width:
        reason = (
            "No smaller number of dimensions follows from these rows; this keeps a number of your choice."
        )
        chosen = max(1, width // 2)
        yield Step(reason, _exporting(config, f"export_dims={chosen}", f"d={chosen}"))
    else:
        reason = (
            f"Write the projection to {dims:,} dimensions, with what it keeps of rows it was not fitted to."
        )
        yield Step(reason, _exporting(config, "", ""))
    if by_command(config):
        second = "" if "y" not in measurement["dims"] else " y=new_y.npy output_y=small_y.npy"
        yield Step(
            "Apply it to other embeddings; files of any size are read block by block.",
            f"intrinsic-clip apply {CUT} x=new.npy output=small.npy{second}",
        )


def _more(measurement: Mapping[str, Any]) -> Iterator[Step]:
    config = measurement["config"]
    from_files = config.get("x") is not None
    if "y" not in measurement["dims"] and (from_files or not by_command(config)):
        code = _command(config, "y=partners.npy") if from_files else "ic.measure_embeddings(x, y)"
        yield Step(
            "Measure with the partners of these rows, to see how many dimensions retrieval needs.", code
        )
    asked = max((row.get("asked") or 0 for row in measurement["estimates"]), default=0)
    if asked:
        more = 4 * asked
        code = _command(config, f"queries={more}") if by_command(config) else f"queries={more}"
        yield Step("Ask more rows for their neighbours, to halve the error of asking only some.", code)


def by_command(config: Mapping[str, Any]) -> bool:
    """Return whether a command made the measurement, in place of a program of the user's own."""
    return any(
        key in ("x", "run") or key.startswith("data") for key, value in config.items() if value is not None
    )


def _exporting(config: Mapping[str, Any], setting: str, argument: str) -> str:
    if not by_command(config):
        return f'measured.reduce({argument}).save("{CUT}")'
    return _command(config, f"export={CUT}", *([setting] if setting else []))


def _command(config: Mapping[str, Any], *settings: str) -> str:
    """Return the command that was given, as far as it says where rows come from, with further settings."""
    named = [f"{key}={_typed(config[key])}" for key in NAMED if config.get(key) is not None]
    if config.get("nan") == "drop":
        named.append("nan=drop")
    quoted = " ".join(shlex.quote(each) for each in [*named, *settings])
    return f"intrinsic-clip measure {'… ' if config.get('data') is not None else ''}{quoted}"


def _typed(value: Any) -> str:
    """Return a setting as it is typed: `[a,b]` for a list."""
    return f"[{','.join(map(str, value))}]" if isinstance(value, list | tuple) else str(value)
