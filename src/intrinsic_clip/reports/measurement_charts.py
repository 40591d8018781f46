"""Describe the charts of a measurement's page, which its script draws: the same panels as the picture."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

COLOURS = {"x": "var(--x)", "y": "var(--y)", "z": "var(--muted)"}
DASHES = {"x": None, "y": "6 4", "z": "2 4"}
BASES = {"principal": "x", "canonical": "y"}  # which colour and dashes each has
Chart = dict[str, Any]
Series = dict[str, Any]
SMALLEST = 1e-10  # of the largest share of the variance; smaller ones are rounding errors


def charts(measurement: Mapping[str, Any]) -> list[Chart]:
    """Return the charts as chart.js takes them, each with an `id` and a `title`; those without a point are left out."""
    described = [_spectrum(measurement), _scale(measurement), _sample_size(measurement)]
    has_pairs = any(f"retrieval/{basis}" in measurement["curves"] for basis in BASES)
    described.append(_kept(measurement) if has_pairs else _variance(measurement))
    return [chart for chart in described if any(series["points"] for series in chart["series"])]


def _spectrum(measurement: Mapping[str, Any]) -> Chart:
    series = []
    for side, shares in _shares(measurement).items():
        smallest = SMALLEST * max((share for share in shares if share is not None), default=0)
        points = [
            {"x": place, "y": 100 * share}
            for place, share in enumerate(shares, 1)
            if share is not None and share > smallest
        ]
        series.append(_series(side, side, points))
    return {
        "id": "spectrum",
        "title": "Spectrum",
        "x": {"label": "principal component", "short": "component", "log": True},
        "y": {"label": "% of the variance", "log": True},
        "series": series,
    }


def _variance(measurement: Mapping[str, Any]) -> Chart:
    """Describe the variance that the leading components hold together, where there are no pairs."""
    series = [
        _series(
            side,
            side,
            [
                {"x": place, "y": 100 * held}
                for place, held in enumerate(accumulate(share or 0 for share in shares), 1)
            ],
        )
        for side, shares in _shares(measurement).items()
    ]
    dims = measurement["advice"].get("dims")
    return {
        "id": "variance",
        "title": "Variance kept",
        "x": {"label": "principal components kept", "short": "components", "log": True},
        "y": {"label": "% of the variance", "zero": True},
        "series": series,
        "upright": [] if dims is None else [{"x": dims, "label": f"{dims:,} hold 99 % of x"}],
    }


def _shares(measurement: Mapping[str, Any]) -> dict[str, list[float | None]]:
    return {side: measurement["curves"][f"spectrum/{side}"]["variance_share"] for side in measurement["dims"]}


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
        "x": {"label": "rows", "log": True},
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
        curves.append(
            _series(label, side, _points(at, curve["value"], curve["standard_error"])) | {"dots": True}
        )
        if level is not None:
            ends = [at[curve["at"].index(level[end])] for end in ("from", "to")]
            points = [{"x": end, "y": level["value"]} for end in sorted(ends)]
            levels.append(
                {"label": f"plateau of {side}", "colour": COLOURS[side], "points": points, "level": True}
            )
    return [*levels, *curves]


def _kept(measurement: Mapping[str, Any]) -> Chart:
    curves = measurement["curves"]
    bases = [basis for basis in BASES if f"retrieval/{basis}" in curves]
    series = []
    for basis in bases:
        curve = curves[f"retrieval/{basis}"]
        points = _points(curve["at"], curve["value"], curve["standard_error"])
        series.append(_series(f"{basis} directions", BASES[basis], points) | {"dots": True})
    advice, n = measurement["advice"], curves[f"retrieval/{bases[0]}"]["n"]
    dims = advice.get("dims")
    return {
        "id": "kept",
        "title": "Retrieval by cosine with fewer dimensions",
        "x": {"label": f"dimensions kept ({n:,} held-out pairs)", "short": "dimensions", "log": True},
        "y": {"label": "recall@1, mean of both ways", "zero": True},
        "series": series,
        "upright": [] if dims is None else [{"x": dims, "label": f"{dims:,} of {advice['of']:,} are enough"}],
    }


def _points(
    at: Sequence[float | None], values: Sequence[float | None], errors: Sequence[float | None]
) -> list[dict[str, Any]]:
    return [
        {"x": place, "y": value, "sd": error}
        for place, value, error in zip(at, values, errors, strict=True)
        if place is not None
    ]


def _series(label: str, style: str, points: list[dict[str, Any]]) -> Series:
    return {"label": label, "colour": COLOURS[style], "dash": DASHES[style], "points": points}
