"""Describe the charts of a measurement, which its page and its picture draw."""

from collections.abc import Mapping
from typing import Any

from intrinsic_clip.reports.chart_series import (
    COLOURS,
    Chart,
    Series,
    points,
    recall_chart,
    series,
    spectrum_chart,
    spectrum_points,
    variance_chart,
    variance_points,
    with_points,
)
from intrinsic_clip.reports.number_format import hold

BASES = {"principal": "x", "canonical": "y"}  # which colour and dashes each has


def charts(measurement: Mapping[str, Any]) -> list[Chart]:
    """Return the charts as chart.js takes them, each with an `id` and a `title`; those without a point are left out."""
    has_pairs = any(f"retrieval/{basis}" in measurement["curves"] for basis in BASES)
    last = _kept(measurement) if has_pairs else _variance(measurement)
    return with_points([_spectrum(measurement), _scale(measurement), _sample_size(measurement), last])


def _spectrum(measurement: Mapping[str, Any]) -> Chart:
    return spectrum_chart(
        [series(side, side, spectrum_points(curve)) for side, curve in _spectra(measurement).items()]
    )


def _variance(measurement: Mapping[str, Any]) -> Chart:
    """Describe the variance that the leading components hold together, where there are no pairs."""
    dims = measurement["advice"].get("dims")
    drawn = [series(side, side, variance_points(curve)) for side, curve in _spectra(measurement).items()]
    mark = [] if dims is None else [{"x": dims, "label": f"{dims:,} {hold(dims)} 99 % of x"}]
    return variance_chart(drawn) | {"upright": mark}


def _spectra(measurement: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {side: measurement["curves"][f"spectrum/{side}"] for side in measurement["dims"]}


def _scale(measurement: Mapping[str, Any]) -> Chart:
    return {
        "id": "scale",
        "title": "Intrinsic dimension against scale (GRIDE)",
        "x": {"label": "mean distance of the farther neighbour", "short": "distance"},
        "y": {"label": "dimensions", "zero": True},
        "series": _with_plateaus(measurement, "scale", "radius"),
    }


def _sample_size(measurement: Mapping[str, Any]) -> Chart:
    return {
        "id": "sample-size",
        "title": "Intrinsic dimension against sample size (MLE)",
        "x": {"label": "rows", "log": True, "whole": True},
        "y": {"label": "dimensions", "zero": True},
        "series": _with_plateaus(measurement, "sample_size", "at"),
    }


def _with_plateaus(measurement: Mapping[str, Any], kind: str, places: str) -> list[Series]:
    """Return the curve of each side and, behind it, a broad line where it is level."""
    levels, curves = [], []
    for side in measurement["dims"]:
        curve = measurement["curves"][f"{kind}/{side}"]
        at, level = curve[places] or [], curve["plateau"]
        label = side if level is None else f"{side}, plateau {level['value']:.3g}"
        label += "" if any(value is not None for value in curve["value"]) else ", no estimate"
        drawn = points(at, curve["value"], curve["standard_error"])
        curves.append(series(label, side, drawn, dots=True))
        if level is not None:
            ends = [at[curve["at"].index(level[end])] for end in ("from", "to")]
            flat = [{"x": end, "y": level["value"]} for end in sorted(ends)]
            levels.append(
                {"label": f"plateau of {side}", "colour": COLOURS[side], "points": flat, "level": True}
            )
    return [*levels, *curves]


def _kept(measurement: Mapping[str, Any]) -> Chart:
    curves = measurement["curves"]
    bases = [basis for basis in BASES if f"retrieval/{basis}" in curves]
    drawn = []
    for basis in bases:
        curve = curves[f"retrieval/{basis}"]
        recalls = points(curve["at"], curve["value"], curve["standard_error"])
        drawn.append(series(f"{basis} directions", BASES[basis], recalls, dots=True))
    advice, n = measurement["advice"], curves[f"retrieval/{bases[0]}"]["n"]
    dims = advice.get("dims")
    mark = (
        []
        if dims is None
        else [{"x": dims, "label": f"{dims:,} of {advice['of']:,} {'is' if dims == 1 else 'are'} enough"}]
    )
    return recall_chart(drawn, n, "kept", "Retrieval by cosine with fewer dimensions") | {"upright": mark}
