"""Arrange two models in tables: their numbers, what they have in common, and the rows that moved."""

from collections.abc import Iterator, Mapping
from typing import Any

from intrinsic_clip.reports.measurement_tables import SPECTRUM, Table, estimated, plus_minus
from intrinsic_clip.reports.number_format import signed
from intrinsic_clip.runs.vocabulary import estimator_title

MOVED = 1e-10  # squared distance below which a rounding error and no movement is seen
STILL = "but for a shift, a scale and a rotation, the rows of both models are the same: no row moved"
BY = {"cosine": "by cosine", "canonical": "along canonical directions, held out"}


def against_tables(measurement: Mapping[str, Any]) -> list[Table]:
    """Return the tables of a measurement with a second model; none where there is no such."""
    second = measurement.get("against")
    if second is None:
        return []
    compared = second["compared"]
    rows = [*_dimensions(measurement, second), *_gaps(measurement, second), *_recalls(compared)]
    remarks = (
        "recall: mean of both ways; its difference is paired over rows, with its standard error",
        f"verdict: {compared['verdict']}",
    )
    beside = Table("two models, one data set", ("", "x", "against", "difference"), rows, remarks)
    return [beside, *_common(compared), *_moved(compared)]


def _dimensions(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    yield ("columns", f"{first['dims']['x']:,}", f"{second['dims']['x']:,}", "")
    others = {row["name"]: row for row in second["estimates"] if row["side"] == "x"}
    for row in first["estimates"]:
        other = others.get(row["name"])
        if row["side"] != "x" or other is None:
            continue
        kind, _, name = row["name"].partition("/")
        label = f"ID, {estimator_title(name)}" if kind == "id" else SPECTRUM.get(name)
        if name == "components_99pct":
            label = "components for 99 % of variance"
        if label is None:
            continue
        yield (
            label,
            *(estimated(each) for each in (row, other)),
            _less(row, other),
        )


def _less(row: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    if row["value"] is None or other["value"] is None:
        return ""
    return _gain(other["value"] - row["value"])


def _gain(difference: float) -> str:
    return f"{difference:+.3g}" if difference else "0"


def _gaps(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    titles = {
        "modality_gap": "modality gap",
        "sufficient_dimension/principal": "principal directions that keep 99 %",
        "sufficient_dimension/canonical": "canonical directions that keep 99 %",
    }
    for name, title in titles.items():
        values = [each["metrics"].get(name) for each in (first, second)]
        if any(value is not None for value in values):
            gain = "" if None in values else _gain(values[1] - values[0])
            yield (title, *("–" if value is None else f"{value:.4g}" for value in values), gain)


def _recalls(compared: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for each in compared["recalls"]:
        yield (
            f"recall@{each['k']} {BY[each['by']]}",
            f"{each['first']:.4g}",
            f"{each['second']:.4g}",
            signed(each["difference"], each["standard_error"]),
        )


def _common(compared: Mapping[str, Any]) -> Iterator[Table]:
    metrics = compared["metrics"]
    overlap = plus_minus(metrics.get("overlap/top_10"), metrics.get("overlap_standard_error/top_10"))
    chance, least = metrics.get("overlap_chance/top_10"), metrics.get("shared_dimension_threshold")
    rows: list[tuple[str, ...]] = [
        ("10 nearest neighbours kept", overlap, "" if chance is None else f"by chance {chance:.2g}"),
        (
            "linear CKA, debiased",
            plus_minus(metrics.get("linear_cka"), None),
            "1: the same up to rotation; 0: independent",
        ),
        (
            "Procrustes residual",
            plus_minus(metrics.get("procrustes"), None),
            "share of the variance that no rotation explains",
        ),
        (
            "shared dimension",
            plus_minus(metrics.get("shared_dimension"), None),
            "" if least is None else f"canonical correlations above {least:.2g}, that of permuted rows",
        ),
    ]
    remarks = tuple(dict.fromkeys(compared["reasons"].values()))
    if compared["moved"] and not _farthest(compared):
        remarks += (STILL,)
    title = f"what both have in common, by direction, {compared['distinct']:,} distinct rows of x"
    yield Table(title, ("", "", ""), rows, remarks)


def _farthest(compared: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows that moved most, if any row moved."""
    return [each for each in compared["moved"] if each["distance"] > MOVED]


def _moved(compared: Mapping[str, Any]) -> Iterator[Table]:
    if not _farthest(compared):
        return
    named = any(each["id"] is not None for each in _farthest(compared))
    rows = []
    for each in _farthest(compared):
        overlap = "–" if each["overlap"] is None else f"{each['overlap']:.2g}"
        name = ((each["id"] or "")[:40],) if named else ()
        rows.append((f"{each['row']:,}", *name, f"{each['distance']:.3g}", overlap))
    header = ("row", *(("name",) if named else ()), "squared distance", "neighbours kept")
    remark = (
        "squared distance after the best shift, scale and rotation; 1 is that of x from its mean, on average"
    )
    of = compared.get("of_x", compared["of"])  # files of before have no such number
    yield Table(f"rows of x that moved most, of {of:,}", header, rows, (remark,))
