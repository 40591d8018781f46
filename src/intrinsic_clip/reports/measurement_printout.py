"""Print a measurement: tables, advice, and the files that hold it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from intrinsic_clip.reports.measurement_tables import aligned, tables

RESULTS, PICTURE, PAGE = "measure.json", "measure.png", "measure.html"
BOTH = "two_models.png"
FILES = (
    ("results", RESULTS),
    ("picture", PICTURE),
    ("two models", BOTH),
    ("page", PAGE),
    ("W&B files", "wandb"),
)

BELIEF = "which dimension to believe, "  # before the side


def printout(measurement: Mapping[str, Any], folder: Path) -> str:
    """Return the tables, notes and advice of a measurement, and its files in the folder, as text."""
    return "\n\n".join([*parts(measurement), _written(folder, FILES)])


def parts(measurement: Mapping[str, Any]) -> list[str]:
    """Return headline, tables, notes and advice of a measurement, each as text."""
    numbers = ["\n".join([f"{table.title}:", *aligned(table)]) for table in tables(measurement)]
    said = [*beliefs(measurement), *_said(measurement["notes"], measurement["advice"]["text"])]
    return [headline(measurement), *numbers, *said]


def beliefs(measurement: Mapping[str, Any]) -> list[str]:
    """Return a paragraph for each side on which dimension to believe, and why estimators differ."""
    believed = measurement.get("believed") or {}
    return [f"{BELIEF}{side}: {each['text']}" for side, each in believed.items()]


def closing(notes: Sequence[str], advice: str, folder: Path, files: Sequence[tuple[str, str]]) -> list[str]:
    """Return the last parts of a printout: notes, if there are any, the advice, and the files that exist."""
    return [*_said(notes, advice), _written(folder, files)]


def _said(notes: Sequence[str], advice: str) -> list[str]:
    noted = ["\n".join(f"note: {note}" for note in notes)] if notes else []
    return [*noted, f"advice: {advice}"]


def _written(folder: Path, files: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"  {label:<10} {folder / name}" for label, name in files if (folder / name).exists())


def headline(measurement: Mapping[str, Any]) -> str:
    """Return the size and origin of the embeddings, e.g. `5,000 pairs: x 512-d (image.npy), y 512-d (text.npy)`."""
    settings, dims = measurement["config"], measurement["dims"]
    unit = "rows" if len(dims) == 1 else "pairs"
    sides = [f"{side} {d:,}-d{origin(settings, side)}" for side, d in dims.items()]
    second = measurement.get("against")
    if second is not None:
        sides.append(f"against {second['dims']['x']:,}-d{origin(settings, 'against')}")
    return f"{measurement['n']:,} {unit}: {', '.join(sides)}"


def origin(settings: Mapping[str, Any], side: str) -> str:
    """Return where a side comes from, in parentheses after a space; nothing for rows that a program handed over."""
    if settings["run"] is not None:
        return f" ({settings['run']})"
    if settings["data"] is not None:
        source = str(settings["data"]["_target_"]).rpartition(".")[2]
        model = f", {settings['encoder']['model']}" if settings["encoder"] else ""
        return f" ({source}{model})"
    return f" ({settings[side]})" if settings.get(side) is not None else ""
