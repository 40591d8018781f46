"""Say what a chart is made of, once for the script that draws it on a page and for the picture beside it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

COLOURS = {"x": "var(--x)", "y": "var(--y)", "z": "var(--muted)", "against": "var(--against)"}
DASHES = {"x": None, "y": "6 4", "z": "2 4", "against": "7 6 1 6"}  # curves that coincide are all visible
SMALLEST = 1e-10  # of the largest share of the variance; smaller ones are rounding errors
Chart = dict[str, Any]  # as chart.js takes it, with an `id` and a `title`
Series = dict[str, Any]
Point = dict[str, Any]


def with_points(charts: Iterable[Chart]) -> list[Chart]:
    """Return the charts that have a number to draw; axes without one would be invented."""
    return [
        chart
        for chart in charts
        if any(point["y"] is not None for series in chart["series"] for point in series["points"])
    ]


def series(label: str, style: str, points: list[Point], **further: Any) -> Series:
    """Return points under a label, in the colour and dashes of a side."""
    return {"label": label, "colour": COLOURS[style], "dash": DASHES[style], "points": points, **further}


def points(
    at: Sequence[float | None],
    values: Sequence[float | None],
    errors: Sequence[float | None] | None = None,
) -> list[Point]:
    """Return a point for each place that is known; y is None where there is no number."""
    errors = [None] * len(at) if errors is None else errors
    return [
        {"x": place, "y": _finite(value), "sd": _finite(error)}
        for place, value, error in zip(at, values, errors, strict=True)
        if place is not None
    ]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def spectrum_points(curve: Mapping[str, Any]) -> list[Point]:
    """Return the share of each principal component in percent, without those that are rounding errors."""
    shares = curve["variance_share"]
    smallest = SMALLEST * max((share for share in shares if share is not None), default=0)
    return [
        {"x": place, "y": 100 * share}
        for place, share in enumerate(shares, 1)
        if share is not None and share > smallest
    ]


def variance_points(curve: Mapping[str, Any]) -> list[Point]:
    """Return what the leading principal components hold together, in percent; nothing where rows do not vary."""
    shares = [share or 0 for share in curve["variance_share"]]
    held = accumulate(shares) if any(shares) else ()
    return [{"x": place, "y": 100 * share} for place, share in enumerate(held, 1)]


def spectrum_chart(drawn: Sequence[Series], name: str = "spectrum", title: str = "Spectrum") -> Chart:
    """Return the chart of the shares that principal components have, of series of `spectrum_points`."""
    return {
        "id": name,
        "title": title,
        "x": {"label": "principal component", "short": "component", "log": True, "whole": True},
        "y": {"label": "% of the variance", "log": True},
        "series": drawn,
    }


def variance_chart(drawn: Sequence[Series], name: str = "variance", title: str = "Variance kept") -> Chart:
    """Return the chart of what leading principal components hold together, of series of `variance_points`."""
    return {
        "id": name,
        "title": title,
        "x": {"label": "principal components kept", "short": "components", "log": True, "whole": True},
        "y": {"label": "% of the variance", "zero": True},
        "series": drawn,
    }


def recall_chart(drawn: Sequence[Series], pairs: int, name: str, title: str) -> Chart:
    """Return the chart of recall with fewer dimensions, measured on so many held-out pairs."""
    return {
        "id": name,
        "title": title,
        "x": {
            "label": f"dimensions kept ({pairs:,} held-out pairs)",
            "short": "dimensions",
            "log": True,
            "whole": True,
        },
        "y": {"label": "recall@1, mean of both ways", "zero": True},
        "series": drawn,
    }
