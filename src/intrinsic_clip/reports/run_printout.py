"""What a run says on screen at its end: the main numbers beside the truth, and where everything lies."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.runs.results import EXAMPLES, METRICS, RESULTS
from intrinsic_clip.runs.vocabulary import ESTIMATORS, estimator_title

PLACES = (
    ("results", RESULTS),
    ("picture", "run.png"),
    ("examples", EXAMPLES),
    ("metrics", METRICS),
    ("W&B files", "wandb"),
)


def report(results: Mapping[str, Any], folder: Path) -> str:
    """A table of what results.json holds (mean ± standard deviation over replicates), and the files beside it."""
    output_dims = Replicates.of(results["config"]).output_dims
    rows = _of_one(results) if output_dims is None else _of_several(results, output_dims)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    table = [
        "  "
        + "  ".join(
            [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    places = [f"  {label:<10} {folder / name}" for label, name in PLACES if (folder / name).exists()]
    return "\n".join([*(line.rstrip() for line in table), "", *_speed(results), *places])


def _speed(results: Mapping[str, Any]) -> list[str]:
    """How fast it trained, where it did."""
    rate = results["timings"].get("pairs_per_second")
    return [] if rate is None else [f"  {'training':<10} {rate:,.0f} pairs a second"]


def _truth(results: Mapping[str, Any]) -> str:
    shared_dim = results["shared_dim"]
    return f"k* = {'unknown' if shared_dim is None else shared_dim}"


def _estimators(results: Mapping[str, Any]) -> list[str]:
    """Those that were asked for, ours first and in the usual order."""
    found = {metric.split("/")[1] for metric in results["metrics"] if metric.startswith("id/")}
    return [name for name in ESTIMATORS if name in found] + sorted(found - set(ESTIMATORS))


def _title(matching: str) -> str:
    """What a row about matching is called."""
    name = matching.replace("_", " ")
    return f"{name} of the partner" if matching == "median_rank" else f"matching accuracy ({name})"


def _chance(matching: str, n: int) -> str:
    """What guessing would give."""
    chances = {"top_1": f"{1 / n:.4f}", "median_rank": f"{(n + 1) / 2:g}"}
    return f"chance {chances[matching]}" if matching in chances else ""


def _matchings(results: Mapping[str, Any]) -> list[str]:
    return sorted({metric.split("/")[1] for metric in results["metrics"] if metric.startswith("matching/")})


def _of_one(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row per quantity."""
    rows: list[tuple[str, ...]] = [("", "f(X)", "g(Y)", "truth")]
    for estimator in _estimators(results):
        pair = [_show(results, f"id/{estimator}/{side}") for side in "xy"]
        rows.append((f"intrinsic dimension ({estimator_title(estimator)})", *pair, _truth(results)))
    rows.append(("", "x → y", "y → x", ""))
    for name in _matchings(results):
        pair = [_show(results, f"matching/{name}/{direction}") for direction in ("x_to_y", "y_to_x")]
        rows.append((_title(name), *pair, _chance(name, results["n_test"])))
    rows.append(("temperature τ", _show(results, "temperature"), "", "→ 0"))
    return rows


def _of_several(results: Mapping[str, Any], output_dims: tuple[int, ...]) -> list[tuple[str, ...]]:
    """One row per output dimension."""
    columns = {"ID of f(X)": "id/mle/x", "ID of g(Y)": "id/mle/y"}
    columns |= {f"{name.replace('_', ' ')}, x → y": f"matching/{name}/x_to_y" for name in _matchings(results)}
    columns |= {"τ": "temperature"}
    rows = [(f"d ({_truth(results)})", *columns)]
    rows += [
        (str(d), *(_show(results, metric, place) for metric in columns.values()))
        for place, d in enumerate(output_dims)
    ]
    return rows


def _show(results: Mapping[str, Any], metric: str, place: int | None = None) -> str:
    summary = results["metrics"].get(metric)
    if summary is None:
        return "–"
    mean, std = (summary[key] if place is None else summary[key][place] for key in ("mean", "std"))
    if mean is None:
        return "–"
    return f"{mean:.4g}" + ("" if std is None else f" ± {std:.2g}")
