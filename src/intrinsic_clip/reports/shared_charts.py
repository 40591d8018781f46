"""Describe the charts of an estimate of the shared dimension, which its page and its picture draw."""

from collections.abc import Mapping
from typing import Any

from intrinsic_clip.reports.chart_series import Chart, Series, points, series, with_points

MOST_DOTS = 40  # beyond, they would run into each other
SHUFFLED = {"dash": "2 4", "thin": True}


def shared_charts(estimated: Mapping[str, Any]) -> list[Chart]:
    """Return the charts as chart.js takes them; those without a point are left out."""
    dimension = estimated["dimension"]
    end = [{"x": dimension + 0.5, "label": f"{dimension:,} shared"}] if dimension else []
    return with_points([spectra(estimated) | {"upright": end}, _ratios(estimated) | {"upright": end}])


def spectra(estimated: Mapping[str, Any]) -> Chart:
    """Describe the lengths of the consensus directions, and those of shuffled pairs."""
    shown = len(estimated["ratios"]["both"]) + 1
    drawn = []
    for side in "xy":
        values, shuffled = (estimated[kind].get(side, [])[:shown] for kind in ("spectrum", "null_spectrum"))
        if values:
            drawn.append(_line(side, values))
        if shuffled:
            drawn.append(series(f"{side}, shuffled pairs", side, _in_order(shuffled)) | SHUFFLED)
    trainings = estimated.get("trainings", "the")
    return {
        "id": "spectra",
        "title": f"Consensus of {trainings} training{'s' * (trainings != 1)}",
        "x": {"label": "direction", "whole": True},
        "y": {"label": "root eigenvalue", "zero": True},
        "series": drawn,
    }


def _ratios(estimated: Mapping[str, Any]) -> Chart:
    least = estimated["threshold"]
    return {
        "id": "ratios",
        "title": "Ratio of each value to the next",
        "x": {"label": "dimensions before the gap", "short": "dimensions", "whole": True},
        "y": {"label": "ratio", "log": True},
        "series": [_line(side, estimated["ratios"][side]) for side in "xy" if estimated["ratios"].get(side)],
        "across": [{"y": least, "label": f"least gap {least:.3g}"}],
    }


def _line(side: str, values: list[float]) -> Series:
    return series(side, side, _in_order(values), dots=len(values) <= MOST_DOTS)


def _in_order(values: list[float]) -> list[dict[str, Any]]:
    return points(range(1, len(values) + 1), values)
