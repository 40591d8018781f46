"""Print an estimate of the shared dimension: the verdict, its controls, other methods, and the files that hold it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intrinsic_clip.reports.measurement_printout import closing, origin
from intrinsic_clip.reports.number_format import percent
from intrinsic_clip.shared_dimension.wording import verdict_line

RESULTS, PICTURE, PAGE = "shared.json", "shared.png", "shared.html"
FILES = (("results", RESULTS), ("picture", PICTURE), ("page", PAGE))
NO_ADVICE = f"none, since an earlier version made this estimate; delete {RESULTS} to make it anew"


def printout(estimated: Mapping[str, Any], folder: Path) -> str:
    """Return the verdict with its controls, notes and files as text."""
    parts = [headline(estimated), f"shared dimensions: {verdict_line(estimated)}"]
    parts.append("\n".join(_aligned(controls(estimated))))
    if estimated["alternatives"]:
        parts.append("\n".join(["other methods:", *_aligned(others(estimated))]))
    return "\n\n".join([*parts, *closing(estimated["notes"], advice(estimated), folder, FILES)])


def headline(estimated: Mapping[str, Any]) -> str:
    """Return the size and origin of the views, e.g. `5,000 pairs: x 40-d (rna.npy), y 30-d (protein.npy)`."""
    settings = {"run": None, **estimated["config"]}
    sides = (f"{side} {d:,}-d{origin(settings, side)}" for side, d in estimated["dims"].items())
    return f"{estimated['n']:,} pairs: " + ", ".join(sides)


def controls(estimated: Mapping[str, Any]) -> dict[str, str]:
    """Return what the verdict rests on, a text by name."""
    matching = estimated["matching"]
    return {
        **_number_of_draws(estimated),
        "from x alone": _side(estimated["sides"], "x"),
        "from y alone": _side(estimated["sides"], "y"),
        "effective number": _effective(estimated),
        "held-out matching": (
            f"top 1 {percent(matching['top_1'], 2)}, chance {percent(matching['chance'], 2)} "
            f"({matching['pairs']:,} pairs, p = {matching['p_value']:.2g})"
        ),
        "mutual information": _information(matching),
        "least gap": f"{estimated['threshold']:.2f} ({_shuffled(estimated['null_gap'])})",
        "seconds": f"{sum(estimated['seconds'].values()):.0f}",
    }


def _effective(estimated: Mapping[str, Any]) -> str:
    """Return how many values hold most of the spectrum, or that a view has no more dimensions than are said."""
    bound = estimated.get("bound")
    return f"{estimated['effective']} hold 90 % of the spectrum" if bound is None else f"at most {bound}"


def _number_of_draws(estimated: Mapping[str, Any]) -> dict[str, str]:
    """Return the interval; none where nothing was found, no number can be trusted, or the number is a bound alone."""
    dimension = estimated["dimension"]
    if dimension == 0 or estimated.get("doubt") is not None or estimated.get("bound") is not None:
        return {}
    low, high = estimated["interval"]
    of = "dimension" if dimension is not None else "effective number"
    agree = f"{100 * estimated['agreement']:.0f} %"
    if (canonical := estimated.get("canonical")) is not None:
        return {f"interval, {of}": f"{low} to {high} ({agree} of draws agree, and CCA finds {canonical})"}
    return {f"95 % of draws, {of}": f"{low} to {high} ({agree} agree)"}


def others(estimated: Mapping[str, Any]) -> dict[str, str]:
    """Return what other methods say, a number with the note on it by title."""
    return {each["title"]: _answer(each) for each in estimated["alternatives"]}


def advice(estimated: Mapping[str, Any]) -> str:
    """Return which d to give a contrastive model on such pairs."""
    return str(estimated.get("advice", NO_ADVICE))


def _aligned(texts: Mapping[str, str]) -> list[str]:
    """Return a line for each text, with its name in front."""
    width = max(map(len, texts))
    return [f"  {name.ljust(width)}  {text}" for name, text in texts.items()]


def _side(sides: Mapping[str, int | None], side: str) -> str:
    if side not in sides:
        return "not read, see the notes"
    return "no clear gap" if sides[side] is None else str(sides[side])


def _shuffled(null_gap: float | None) -> str:
    return "no shuffled pairs: presumed" if null_gap is None else f"shuffled pairs {null_gap:.2f}"


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
