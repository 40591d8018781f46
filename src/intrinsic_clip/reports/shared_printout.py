"""Print an estimate of the shared dimension: the verdict, its controls, other methods, and the files that hold it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intrinsic_clip.reports.measurement_printout import closing, origin

RESULTS, PICTURE = "shared.json", "shared.png"
FILES = (("results", RESULTS), ("picture", PICTURE))


def printout(estimated: Mapping[str, Any], folder: Path) -> str:
    """Return the verdict with its controls, notes and files as text."""
    parts = [headline(estimated), f"shared dimensions: {estimated['text']}"]
    parts.append("\n".join(_aligned(controls(estimated))))
    if estimated["alternatives"]:
        others = {each["title"]: _answer(each) for each in estimated["alternatives"]}
        parts.append("\n".join(["other methods:", *_aligned(others)]))
    return "\n\n".join([*parts, *closing(estimated["notes"], advice(estimated), folder, FILES)])


def headline(estimated: Mapping[str, Any]) -> str:
    """Return the size and origin of the views, e.g. `5,000 pairs: x 40-d (rna.npy), y 30-d (protein.npy)`."""
    settings = {**estimated["config"], "run": None}
    sides = (f"{side} {d:,}-d{origin(settings, side)}" for side, d in estimated["dims"].items())
    return f"{estimated['n']:,} pairs: " + ", ".join(sides)


def controls(estimated: Mapping[str, Any]) -> dict[str, str]:
    """Return what the verdict rests on, a text by name."""
    matching = estimated["matching"]
    low, high = estimated["interval"]
    of = "dimension" if estimated["dimension"] is not None else "effective number"
    lines = {
        f"95 % of draws, {of}": f"{low} to {high} ({100 * estimated['agreement']:.0f} % agree)",
        "from x alone": _side(estimated["sides"]["x"]),
        "from y alone": _side(estimated["sides"]["y"]),
        "effective number": f"{estimated['effective']} hold 90 % of the spectrum",
        "held-out matching": (
            f"top 1 {matching['top_1']:.2%}, chance {matching['chance']:.2%} "
            f"({matching['pairs']:,} pairs, p = {matching['p_value']:.2g})"
        ),
        "mutual information": _information(matching),
        "least gap": f"{estimated['threshold']:.2f} (shuffled pairs {estimated['null_gap']:.2f})",
        "seconds": f"{sum(estimated['seconds'].values()):.0f}",
    }
    return lines


def advice(estimated: Mapping[str, Any]) -> str:
    """Return which d to give a contrastive model on such pairs."""
    dimension = estimated["dimension"]
    if dimension == 0:
        return "no d helps: held-out pairs cannot be told from others with this many pairs"
    if dimension is None:
        low, high = estimated["interval"]
        return f"no single d is right; {estimated['effective']} ({low} to {high}) hold 90 % of what the model uses"
    return (
        f"d = {dimension + 1} holds {dimension} shared dimensions on the sphere of unit vectors; "
        "a larger d does no harm, since what is learned keeps to them"
    )


def _aligned(texts: Mapping[str, str]) -> list[str]:
    """Return a line for each text, with its name in front."""
    width = max(map(len, texts))
    return [f"  {name.ljust(width)}  {text}" for name, text in texts.items()]


def _side(dimension: int | None) -> str:
    return "no clear gap" if dimension is None else str(dimension)


def _information(matching: Mapping[str, Any]) -> str:
    """Return the bound, and that it says no more where the number of pairs caps it."""
    bound = f"at least {matching['information']:.2f} nats (InfoNCE at τ = {matching['tau']:.2g}"
    if not matching.get("saturates", False):
        return f"{bound})"
    return f"{bound}; saturates at {matching['ceiling']:.2f}, the log of the pairs compared)"


def _answer(answer: Mapping[str, Any]) -> str:
    """Return a value with the note on it; results of before there were notes have none."""
    value, note = _number(answer["value"]), answer.get("note")
    return value if note is None else f"{value} ({note})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
