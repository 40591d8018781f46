"""Metrics that belong into one chart, such as the two sides of an estimate, and how they are written out."""

from collections.abc import Iterable
from typing import Any

from intrinsic_clip.runs.vocabulary import ESTIMATORS, estimator_title

IN_SAMPLE = "in_sample/"
LINES = {
    "x": "f(X)", "y": "g(Y)", "x_to_y": "x → y", "y_to_x": "y → x",
    "positive": "positive pairs", "random": "random pairs",
}  # fmt: skip
FIRST = (
    *(f"id/{name}" for name in ESTIMATORS), "id", "matching/top_1", "matching", "temperature", "loss", "information",
    "alignment", "similarity", "modality_gap", "spectrum", "jacobian", "recovery", "classification",
)  # fmt: skip
TITLES = {
    "matching/top_1": "Partner is the nearest (top 1)",
    "matching/median_rank": "Median rank of the partner",
    "temperature": "Temperature τ",
    "loss": "InfoNCE loss on training batches",
    "information/infonce_bound": "InfoNCE bound of the information",
    "alignment/cosine": "Mean cosine of pairs",
    "similarity": "Mean similarity",
    "norm": "Mean norm of encoder outputs",
    "recovery/linear": "R² of the latent, ridge regression",
    "recovery/kernel": "R² of the latent, kernel ridge regression",
}
SHORT = {"matching/top_1": "Top 1", "temperature": "τ"}
IN_TABLE = ("id", "matching", "temperature")
UNITS = {
    "id": "dimensions",
    "spectrum": "dimensions",
    "matching": "share of pairs",
    "matching/median_rank": "rank",
    "loss": "nats",
    "information": "nats",
    "jacobian/rank": "dimensions",
    "jacobian/participation": "dimensions",
    "recovery": "R²",
    "classification": "accuracy",
}
FROM_ZERO = ("dimensions", "share of pairs", "accuracy")
LOGARITHMIC = ("temperature", "matching/median_rank")
TRUE_DIMENSION = ("id", "jacobian/rank")  # what k* is the truth of


def families(metrics: Iterable[str]) -> list[dict[str, Any]]:
    """Charts of all metrics but standard errors, the main ones first.

    Each has id (what its metrics have in common), title and `short` one, unit, `zero` (its axis begins there), `log`
    (its axis is best logarithmic), `truth` (k* is its true value), `main` (it is in the summary) and lines, which have
    metric and label.
    """
    found: dict[str, dict[str, str]] = {}
    for metric in sorted(metrics):
        if "standard_error/" in metric:
            continue
        stem, _, last = metric.rpartition("/")
        together = last in LINES and stem
        found.setdefault(stem if together else metric, {})[metric] = LINES[last] if together else ""
    return [_family(stem, lines) for stem, lines in sorted(found.items(), key=lambda item: _order(item[0]))]


def _family(stem: str, lines: dict[str, str]) -> dict[str, Any]:
    plain = stem.removeprefix(IN_SAMPLE)
    unit = UNITS.get(_longest_match(plain, UNITS) or "", "")
    title = _title(plain)
    return {
        "id": stem,
        "title": title + (", training rows" if stem != plain else ""),
        "short": SHORT.get(
            stem, title.replace("Intrinsic dimension", "ID").replace("Partner in the top", "Top")
        ),
        "unit": unit,
        "zero": unit in FROM_ZERO,
        "log": plain in LOGARITHMIC,
        "main": stem != "matching/median_rank" and stem.partition("/")[0] in IN_TABLE,
        "truth": _longest_match(plain, TRUE_DIMENSION) is not None,
        "lines": [{"metric": metric, "label": words} for metric, words in lines.items()],
    }


def _title(stem: str) -> str:
    if stem in TITLES:
        return TITLES[stem]
    kind, _, rest = stem.partition("/")
    if kind == "id":
        return f"Intrinsic dimension, {estimator_title(rest)}"
    words = rest.replace("_", " ").replace("/", ", ").replace("pct", " %")
    if kind == "matching":
        return (
            f"Label of the best match, {words[6:]}"
            if words.startswith("label ")
            else f"Partner in the {words}"
        )
    if kind == "spectrum" and words.startswith("components "):
        return f"Components for {words.removeprefix('components ')} of variance"
    kind = kind.replace("_", " ")
    return (f"{kind}: {words}" if rest else kind).capitalize()


def _order(stem: str) -> tuple[bool, int, str]:
    plain = stem.removeprefix(IN_SAMPLE)
    first = _longest_match(plain, FIRST)
    return stem != plain, FIRST.index(first) if first else len(FIRST), plain


def _longest_match(stem: str, names: Iterable[str]) -> str | None:
    """Of the names that are the stem or a beginning of its path, the longest."""
    return max((name for name in names if f"{stem}/".startswith(f"{name}/")), key=len, default=None)
