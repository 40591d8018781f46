"""Arrange the numbers of a measurement in tables of text, for the screen and for the page."""

import math
from collections.abc import Mapping
from typing import Any

from intrinsic_clip.reports.form_tables import form_tables
from intrinsic_clip.reports.number_format import Table, aligned, counted, plus_minus
from intrinsic_clip.runs.vocabulary import estimator_title

__all__ = ["Table", "aligned", "own_tables", "plus_minus", "tables"]

SPECTRUM = {"participation_ratio": "participation ratio", "effective_rank": "effective rank"}
SAMPLING = "± is sampling noise alone: curvature, noise, boundaries and too few rows add errors that it does not show"
ASKING = (
    "asked: rows, drawn at random, that were asked for their neighbours among all n; ± of asking: how far the value "
    "may be from that of asking all, by the spread over those asked (standard error); queries=… asks more"
)
ALPHA = 0.05  # chance that the bound of a recall does not hold
BOUND = "≥ and ≤: bound at 95 % confidence of a recall of exactly 1 or 0"
DIRECTIONS = {"x_to_y": "x → y", "y_to_x": "y → x"}


def tables(measurement: Mapping[str, Any]) -> list[Table]:
    """Return all tables that have rows, those of a second model last."""
    from intrinsic_clip.reports.against_tables import against_tables

    return [*own_tables(measurement), *against_tables(measurement)]


def own_tables(measurement: Mapping[str, Any]) -> list[Table]:
    """Return the tables that have rows and are of x and y alone."""
    curves = {
        "scale": "intrinsic dimension against scale (GRIDE; n1: the nearer of the two neighbours compared)",
        "sample_size": "intrinsic dimension against sample size (MLE)",
    }
    candidates = [
        _estimates(measurement),
        *(_curves(measurement, kind, title) for kind, title in curves.items()),
    ]
    candidates += [_pairs(measurement), _retrieval(measurement), *_kept(measurement)]
    candidates += form_tables(measurement.get("forms") or {})
    return [table for table in candidates if table.rows]


def _estimates(measurement: Mapping[str, Any]) -> Table:
    """Return a row for every estimator, a column for every side; reasons for missing values are the remarks."""
    sides = list(measurement["dims"])
    by_name: dict[str, dict[str, Any]] = {}
    for estimate in measurement["estimates"]:
        by_name.setdefault(estimate["name"], {})[estimate["side"]] = estimate
    rows: list[tuple[str, ...]] = []
    in_part = any("asked" in estimate for estimate in measurement["estimates"])
    for name, by_side in by_name.items():
        first = next(iter(by_side.values()))
        cells = [estimated(by_side[side]) for side in sides]
        k = "" if first["k"] is None else str(first["k"])
        cells += [", ".join(dict.fromkeys(f"{by_side[side]['n']:,}" for side in sides)), k]
        if in_part:
            cells += [f"{first['asked']:,}" if "asked" in first else ""]
            cells += [_query_error(by_side[side]) for side in sides]
        rows.append((_label(name), *cells))
    header = ("", *sides, "n", "k")
    remarks = (*_reasons(by_name, sides), SAMPLING)
    if in_part:
        header += ("asked", *(f"± {side} of asking" for side in sides))
        remarks += (ASKING,)
    return Table("dimension ± standard error", header, rows, remarks)


def estimated(estimate: Mapping[str, Any]) -> str:
    """Return an estimate with its standard error; a number of components is a count."""
    form = counted if "components_" in estimate["name"] else plus_minus
    return form(estimate["value"], estimate["standard_error"])


def _query_error(estimate: Mapping[str, Any]) -> str:
    """Return the standard error of having asked some rows only, in percent of the value."""
    error = estimate.get("query_error")
    if error is None or not estimate["value"]:
        return ""
    return f"{100 * error / estimate['value']:.2g} %"


def _reasons(by_name: Mapping[str, Mapping[str, Any]], sides: list[str]) -> tuple[str, ...]:
    """Return a line for every reason, after the estimators that give it."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for name, by_side in by_name.items():
        for side, estimate in by_side.items():
            if estimate["reason"]:
                reasons.setdefault(estimate["reason"], {}).setdefault(_label(name), []).append(side)
    lines = []
    for reason, affected in reasons.items():
        labels = [
            label if concerned == sides else f"{label} of {' and '.join(concerned)}"
            for label, concerned in affected.items()
        ]
        lines.append(f"{', '.join(labels)}: {reason}")
    return tuple(lines)


def _label(name: str) -> str:
    kind, _, estimator = name.partition("/")
    if kind == "id":
        return estimator_title(estimator)
    if estimator.startswith("components_"):
        return f"components for {estimator.removeprefix('components_').removesuffix('pct')} % of variance"
    return SPECTRUM[estimator]


def _curves(measurement: Mapping[str, Any], kind: str, title: str) -> Table:
    """Return a row for every scale, with a star where the curve is level; none where no side has a value."""
    curves = {side: measurement["curves"][f"{kind}/{side}"] for side in measurement["dims"]}
    valued = [curve for curve in curves.values() if _has_values(curve)]
    at = list(dict.fromkeys(place for curve in valued for place in curve["at"]))
    rows = []
    for place in at:
        cells = [_at(curve, place) for curve in curves.values()]
        rows.append((f"{place:,}", *cells))
    remarks = tuple(f"{side}: {_plateau(curve)}" for side, curve in curves.items())
    return Table(title, ("n1" if kind == "scale" else "n", *curves), rows, remarks)


def _at(curve: Mapping[str, Any], place: int) -> str:
    if place not in curve["at"]:
        return ""
    index = curve["at"].index(place)
    level = curve["plateau"]
    marked = level is not None and min(level["from"], level["to"]) <= place <= max(level["from"], level["to"])
    return plus_minus(curve["value"][index], curve["standard_error"][index]) + (" *" if marked else "  ")


def _has_values(curve: Mapping[str, Any]) -> bool:
    return any(value is not None for value in curve["value"])


def _plateau(curve: Mapping[str, Any]) -> str:
    plateau = curve["plateau"]
    if not _has_values(curve):
        return "no estimate at any of them; the reason is below the first table"
    if plateau is None:
        return "no plateau: no three neighbouring scales lie within 5 % of their mean"
    return f"plateau (*) at {plateau['value']:.3g}"


def _pairs(measurement: Mapping[str, Any]) -> Table:
    metrics = measurement["metrics"]
    titles = {"modality_gap": "modality gap", "alignment/cosine": "alignment (mean cosine of pairs)"}
    rows: list[tuple[str, ...]] = [
        (title, f"{metrics[name]:.4g}", "") for name, title in titles.items() if metrics.get(name) is not None
    ]
    pair = [metrics.get(f"uniformity/{side}") for side in "xy"]
    if None not in pair:
        rows.append(("uniformity, x and y", *(f"{value:.4g}" for value in pair)))
    return Table("alignment and uniformity", ("", "", ""), rows)


def _retrieval(measurement: Mapping[str, Any]) -> Table:
    names = [
        name for name in measurement["metrics"] if name.startswith("retrieval/") and name.endswith("x_to_y")
    ]
    rows = []
    for name in names:
        k = name.split("/")[1].removeprefix("top_")
        rows.append(
            (f"recall@{k}", *(_recall(measurement, f"retrieval/top_{k}/{way}") for way in DIRECTIONS))
        )
    n = measurement["metrics"].get("retrieval/candidates") or 0
    searched = measurement.get("retrieval") or {"x": n, "y": n, "chance": 1 / n if n else 0}
    among = f"{n:,.0f} pairs"
    if searched["x"] != searched["y"] or searched["chance"] * n > 1.0001:
        among = f"{searched['x']:,} distinct rows of x and {searched['y']:,} of y"
    if "asked" in searched:
        among += f", by {searched['asked']:,} of each drawn at random"
    chance = f"; chance {searched['chance']:.2g} at 1" if n else ""
    remarks = (BOUND,) if any("(≥ " in cell or "(≤ " in cell for row in rows for cell in row) else ()
    return Table(f"retrieval by cosine among {among}{chance}", ("", *DIRECTIONS.values()), rows, remarks)


def _recall(measurement: Mapping[str, Any], name: str) -> str:
    """Return a recall with its error, or with a bound where it is exactly 1 or 0.

    The bound is that of Clopper and Pearson, about 1 − 3 / m of m draws (the rule of three).
    """
    value = measurement["metrics"][name]
    draws = ((measurement.get("retrieval") or {}).get("draws") or {}).get(name.rpartition("/")[2])
    if value in (0, 1) and draws:
        missed = -math.expm1(math.log(ALPHA) / draws)
        digits = max(4, 1 - math.floor(math.log10(missed)))  # of many draws, four would make it 1
        return f"1 (≥ {1 - missed:.{digits}g})" if value else f"0 (≤ {missed:.2g})"
    error = name.replace("retrieval/", "retrieval_standard_error/")
    return plus_minus(value, measurement["metrics"].get(error))


def _kept(measurement: Mapping[str, Any]) -> list[Table]:
    """Return recall@1 and recall@10 against the number of directions kept, mean of both ways."""
    curves = {
        name.partition("/")[2]: curve
        for name, curve in measurement["curves"].items()
        if name.startswith("retrieval/")
    }
    n = max((curve["n"] for curve in curves.values()), default=0)
    tens = {name: curve["recall_10"] for name, curve in curves.items() if curve.get("recall_10")}
    chosen = measurement["advice"].get("dims")
    rows = [_kept_rows(each, chosen) for each in (curves, tens)]
    title = f"by cosine with fewer dimensions, mean of both ways, {n:,} held-out pairs"
    return [
        Table(f"recall@{k} {title}", ("", *columns), of)
        for k, columns, of in zip((1, 10), (curves, tens), rows, strict=True)
    ]


def _kept_rows(curves: Mapping[str, Mapping[str, Any]], chosen: int | None) -> list[tuple[str, ...]]:
    at = sorted({place for curve in curves.values() for place in curve["at"]})
    return [
        (
            f"{place:,}" + (" ←" if place == chosen else "  "),
            *(_kept_at(curve, place) for curve in curves.values()),
        )
        for place in at
    ]


def _kept_at(curve: Mapping[str, Any], place: int) -> str:
    if place not in curve["at"]:
        return ""
    index = curve["at"].index(place)
    return plus_minus(curve["value"][index], curve["standard_error"][index])
