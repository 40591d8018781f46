"""What a measurement says on screen: tables, advice, and where everything lies."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intrinsic_clip.reports.measurement_tables import aligned, tables

RESULTS, PICTURE, PAGE = "measure.json", "measure.png", "measure.html"
PLACES = (("results", RESULTS), ("picture", PICTURE), ("page", PAGE), ("W&B files", "wandb"))


def report(found: Mapping[str, Any], folder: Path) -> str:
    """All of it as text."""
    parts = [what(found)]
    parts += ["\n".join([f"{table.title}:", *aligned(table)]) for table in tables(found)]
    if found["notes"]:
        parts.append("\n".join(f"note: {note}" for note in found["notes"]))
    parts.append(f"advice: {found['advice']['text']}")
    places = [f"  {label:<10} {folder / name}" for label, name in PLACES if (folder / name).exists()]
    return "\n\n".join([*parts, "\n".join(places)])


def what(found: Mapping[str, Any]) -> str:
    """What was measured, e.g. `5,000 pairs: x 512-d (image.npy), y 512-d (text.npy)`."""
    settings, dims = found["config"], found["dims"]
    unit = "rows" if len(dims) == 1 else "pairs"
    return f"{found['n']:,} {unit}: " + ", ".join(
        f"{side} {d:,}-d{_from(settings, side)}" for side, d in dims.items()
    )


def _from(settings: Mapping[str, Any], side: str) -> str:
    if settings["run"] is not None:
        return f" ({settings['run']})"
    if settings["data"] is not None:
        source = str(settings["data"]["_target_"]).rpartition(".")[2]
        model = f", {settings['encoder']['model']}" if settings["encoder"] else ""
        return f" ({source}{model})"
    return f" ({settings[side]})"
