"""The numbers as tables of text, for the screen and for the page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from intrinsic_clip.runs.vocabulary import estimator_title

SPECTRUM = {"participation_ratio": "participation ratio", "effective_rank": "effective rank"}
DIRECTIONS = {"x_to_y": "x → y", "y_to_x": "y → x"}


@dataclass(frozen=True)
class Table:
    """Rows of text below a header; what is said below them are remarks."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    remarks: tuple[str, ...] = ()


def tables(found: Mapping[str, Any]) -> list[Table]:
    """All of them that there is something to say in."""
    curves = {
        "scale": "intrinsic dimension against scale (GRIDE; n1: the nearer of the two neighbours compared)",
        "sample_size": "intrinsic dimension against sample size (MLE)",
    }
    made = [_estimates(found), *(_curves(found, kind, title) for kind, title in curves.items())]
    made += [_pairs(found), _retrieval(found), _kept(found)]
    return [table for table in made if table.rows]


def plus_minus(value: float | None, error: float | None) -> str:
    """Both to the second digit of the error, a dash where there is no value."""
    if value is None:
        return "–"
    if not error or error < 5e-7:
        return f"{value:.4g}"
    decimals = min(max(1 - math.floor(math.log10(error)), 0), 6)
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def _estimates(found: Mapping[str, Any]) -> Table:
    sides = list(found["dims"])
    by_name: dict[str, dict[str, Any]] = {}
    for row in found["estimates"]:
        by_name.setdefault(row["name"], {})[row["side"]] = row
    rows: list[tuple[str, ...]] = []
    reasons: dict[str, dict[str, list[str]]] = {}
    for name, of_sides in by_name.items():
        first = next(iter(of_sides.values()))
        cells = [plus_minus(of_sides[side]["value"], of_sides[side]["standard_error"]) for side in sides]
        count = "" if first["k"] is None else str(first["k"])
        rows.append((_label(name), *cells, f"{first['n']:,}", count))
        for side, row in of_sides.items():
            if row["reason"]:
                reasons.setdefault(row["reason"], {}).setdefault(_label(name), []).append(side)
    remarks = tuple(
        ", ".join(
            label if whose == sides else f"{label} of {' and '.join(whose)}" for label, whose in of.items()
        )
        + f": {reason}"
        for reason, of in reasons.items()
    )
    return Table("dimension ± standard error", ("", *sides, "n", "k"), rows, remarks)


def _label(name: str) -> str:
    kind, _, rest = name.partition("/")
    if kind == "id":
        return estimator_title(rest)
    if rest.startswith("components_"):
        return f"components for {rest.removeprefix('components_').removesuffix('pct')} % of variance"
    return SPECTRUM[rest]


def _curves(found: Mapping[str, Any], kind: str, title: str) -> Table:
    """A row for every scale; a star where the curve is level."""
    curves = {side: found["curves"][f"{kind}/{side}"] for side in found["dims"]}
    at = list(dict.fromkeys(place for curve in curves.values() for place in curve["at"]))
    rows = []
    for place in at:
        cells = [_at(curve, place) for curve in curves.values()]
        rows.append((f"{place:,}", *cells))
    remarks = tuple(f"{side}: {_plateau(curve['plateau'])}" for side, curve in curves.items())
    return Table(title, ("n1" if kind == "scale" else "n", *curves), rows, remarks)


def _at(curve: Mapping[str, Any], place: int) -> str:
    if place not in curve["at"]:
        return ""
    index = curve["at"].index(place)
    level = curve["plateau"]
    marked = level is not None and min(level["from"], level["to"]) <= place <= max(level["from"], level["to"])
    return plus_minus(curve["value"][index], curve["standard_error"][index]) + (" *" if marked else "  ")


def _plateau(plateau: Mapping[str, Any] | None) -> str:
    if plateau is None:
        return "no plateau: no two neighbouring scales lie within 5 % of their mean"
    return f"plateau (*) at {plateau['value']:.3g}"


def _pairs(found: Mapping[str, Any]) -> Table:
    metrics = found["metrics"]
    single = {"modality gap": "modality_gap", "alignment (mean cosine of pairs)": "alignment/cosine"}
    rows: list[tuple[str, ...]] = [
        (words, f"{metrics[name]:.4g}", "") for words, name in single.items() if metrics.get(name) is not None
    ]
    pair = [metrics.get(f"uniformity/{side}") for side in "xy"]
    if None not in pair:
        rows.append(("uniformity, x and y", *(f"{value:.4g}" for value in pair)))
    return Table("how the modalities lie", ("", "", ""), rows)


def _retrieval(found: Mapping[str, Any]) -> Table:
    names = [name for name in found["metrics"] if name.startswith("retrieval/") and name.endswith("x_to_y")]
    rows = []
    for name in names:
        k = name.split("/")[1].removeprefix("top_")
        rows.append((f"recall@{k}", *(_recall(found, f"retrieval/top_{k}/{way}") for way in DIRECTIONS)))
    n = found["metrics"].get("retrieval/candidates")
    chance = f"; chance {1 / n:.2g} at 1" if n else ""
    return Table(f"retrieval by cosine among {n or 0:,.0f} pairs{chance}", ("", *DIRECTIONS.values()), rows)


def _recall(found: Mapping[str, Any], name: str) -> str:
    error = name.replace("retrieval/", "retrieval_standard_error/")
    return plus_minus(found["metrics"][name], found["metrics"].get(error))


def _kept(found: Mapping[str, Any]) -> Table:
    """Recall@1 with only so many directions kept, mean of both ways."""
    curves = {
        name.partition("/")[2]: curve
        for name, curve in found["curves"].items()
        if name.startswith("retrieval/")
    }
    at = sorted({place for curve in curves.values() for place in curve["at"]})
    chosen = found["advice"].get("dims")
    rows = [
        (
            f"{place:,}" + (" ←" if place == chosen else "  "),
            *(_kept_at(curve, place) for curve in curves.values()),
        )
        for place in at
    ]
    n = max((curve["n"] for curve in curves.values()), default=0)
    return Table(f"recall@1 by dimensions kept, mean of both ways, {n:,} held-out pairs", ("", *curves), rows)


def _kept_at(curve: Mapping[str, Any], place: int) -> str:
    if place not in curve["at"]:
        return ""
    index = curve["at"].index(place)
    return plus_minus(curve["value"][index], curve["standard_error"][index])


def aligned(table: Table) -> Sequence[str]:
    """The table as lines of equal columns, the first flush left."""
    rows = [table.header, *table.rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return [line for line in lines if line] + [f"  {remark}" for remark in table.remarks]
