"""Describe the charts of two models on one data set, which the page and the picture of a measurement draw."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from intrinsic_clip.reports.against_tables import MOVED
from intrinsic_clip.reports.chart_series import (
    DASHES,
    Chart,
    Point,
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
from intrinsic_clip.reports.measurement_charts import BASES

Models = dict[str, Mapping[str, Any]]  # x and against, under the settings that name them
LONGEST = 20  # characters of a file's name in a legend


def two_model_charts(measurement: Mapping[str, Any]) -> list[Chart]:
    """Return the charts of a measurement with a second model; none where there is no such."""
    second = measurement.get("against")
    if second is None:
        return []
    models = {"x": measurement, "against": second}
    names = {model: _name(model, measurement["config"].get(model)) for model in models}
    described = [
        spectrum_chart(_spectra(models, names, spectrum_points), "both-spectrum", "Spectra of both"),
        variance_chart(_spectra(models, names, variance_points), "both-variance", "Variance kept in both"),
        _scale(models, names),
    ]
    described += [*_kept(models), *_neighbours(second["compared"]), *_moved(second["compared"])]
    return with_points(described)


def _name(model: str, path: str | None) -> str:
    """Return the setting that names a model, with the name of its file."""
    if path is None:
        return model
    file = PurePath(path).name
    return f"{model}: {file if len(file) <= LONGEST else f'{file[: LONGEST - 1]}…'}"


def _spectra(
    models: Models, names: Mapping[str, str], points_of: Callable[[Mapping[str, Any]], list[Point]]
) -> list[Series]:
    """Return what is drawn of the principal components of both models."""
    return [
        series(names[model], model, points_of(each["curves"]["spectrum/x"])) for model, each in models.items()
    ]


def _scale(models: Models, names: Mapping[str, str]) -> Chart:
    """Describe the dimension over the rank of a neighbour: distances of two models have no common unit."""
    drawn = []
    for model, each in models.items():
        curve = each["curves"]["scale/x"]
        estimates = points(curve["at"], curve["value"], curve["standard_error"])
        drawn.append(series(names[model], model, estimates, dots=True))
    return {
        "id": "both-scale",
        "title": "Dimension of both against scale (GRIDE)",
        "x": {"label": "n1, rank of the nearer neighbour", "short": "n1", "log": True, "whole": True},
        "y": {"label": "dimensions", "zero": True},
        "series": drawn,
    }


def _kept(models: Models) -> Iterator[Chart]:
    """Describe recall with fewer dimensions: a colour for each model, dashes for each basis."""
    drawn, pairs = [], 0
    for model, each in models.items():
        for basis, style in BASES.items():
            curve = each["curves"].get(f"retrieval/{basis}")
            if curve is None:
                continue
            pairs = curve["n"]
            recalls = points(curve["at"], curve["value"], curve["standard_error"])
            drawn.append(series(f"{model}, {basis}", model, recalls, dots=True) | {"dash": DASHES[style]})
    if drawn:
        yield recall_chart(drawn, pairs, "both-kept", "Retrieval of both with fewer dimensions")


def _neighbours(compared: Mapping[str, Any]) -> Iterator[Chart]:
    """Describe how many of a row's neighbours both models agree on, and how many they would by chance."""
    overlap = compared.get("distributions", {}).get("overlap")
    if overlap is None:
        return
    kept, n = overlap["kept"], sum(overlap["rows"])
    shares = [100 * rows / n for rows in overlap["rows"]]
    chance = points(kept, [100 * share for share in overlap["by_chance"]])
    by_chance = series("by chance", "z", chance, thin=True)
    yield {
        "id": "both-neighbours",
        "title": "Neighbours kept, row by row",
        "x": {
            "label": f"of the {kept[-1]} nearest neighbours in x, kept in against",
            "short": "neighbours kept",
        }
        | {"whole": True},
        "y": {"label": f"% of {n:,} rows", "zero": True},
        "series": [series("x and against", "against", points(kept, shares), area=True, dots=True), by_chance],
    }


def _moved(compared: Mapping[str, Any]) -> Iterator[Chart]:
    """Describe how many rows moved at most how far."""
    distances = compared.get("distributions", {}).get("distance")
    if distances is None:
        return
    places = [value if value > MOVED else None for value in distances["value"]]
    shares = [100 * share for share in distances["share"]]
    mean = compared["metrics"]["procrustes"]
    yield {
        "id": "both-moved",
        "title": "How far rows moved",
        "x": {"label": "squared distance after the best rotation", "short": "squared distance", "log": True},
        "y": {"label": f"% of {compared['distinct']:,} rows, cumulative", "zero": True},
        "series": [series("rows of x", "against", points(places, shares), dots=True)],
        "upright": [{"x": mean, "label": f"mean {mean:.2g}"}] if mean > MOVED else [],
    }
