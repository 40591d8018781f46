"""Format the text that a run prints at its end: main numbers beside the truth, and the files it wrote."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from intrinsic_clip.config.nodes import short_name
from intrinsic_clip.reports.number_format import Table, aligned, plus_minus
from intrinsic_clip.runs.chunk_folders import CHUNKS
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.runs.results import EXAMPLES, METRICS, RESULTS
from intrinsic_clip.runs.vocabulary import DIRECTIONS, FURTHER_DIRECTIONS, MODALITIES, SIDES, Metric, describe

PICTURE = "run.png"
FILES = (
    ("results", RESULTS),
    ("picture", PICTURE),
    ("examples", EXAMPLES),
    ("metrics", METRICS),
    ("W&B files", "wandb"),
    ("W&B files", f"{CHUNKS}/*/wandb"),
)


def report(results: Mapping[str, Any], folder: Path) -> str:
    """Return a table of the main numbers (mean ± standard deviation over replicates), and the paths of the files.

    Args:
        results: the content of results.json.
        folder: the run folder.
    """
    output_dims = Replicates.of(results["config"]).output_dims
    rows = _metric_rows(results) if output_dims is None else _dimension_rows(results, output_dims)
    table = aligned(Table("", rows[0], rows[1:]))
    paths = [f"  {label:<10} {folder / name}" for label, name in FILES if any(folder.glob(name))]
    notes = [f"note: {note}" for note in results.get("notes", [])]
    about = [*_trained_with(results["config"]), *_speed(results)]
    return "\n".join([*table, "", *([*notes, ""] if notes else []), *about, *paths])


def objective_line(config: Mapping[str, Any]) -> str:
    """Return an objective's class with those of its temperature, if it has one, and its similarity."""
    objective = config["objective"]
    nodes = [objective, objective.get("temperature"), objective.get("similarity")]
    return ", ".join(short_name(node) for node in nodes if node)


def _trained_with(config: Mapping[str, Any]) -> list[str]:
    """Return a line with the objective, if the config has one."""
    return [f"  {'objective':<10} {objective_line(config)}"] if "objective" in config else []


def _learns_temperature(config: Mapping[str, Any]) -> bool:
    """Return whether τ is learned, and thus falls to 0 in the paper's theory."""
    temperature = config.get("objective", {}).get("temperature")
    return temperature is None or short_name(temperature) not in ("FixedTemperature", "ScheduledTemperature")


def _speed(results: Mapping[str, Any]) -> list[str]:
    """Return a line with the training speed, if it was measured."""
    rate = results["timings"].get("pairs_per_second")
    return [] if rate is None else [f"  {'training':<10} {rate:,.0f} pairs a second"]


def _truth(results: Mapping[str, Any]) -> str:
    shared_dim = results["shared_dim"]
    return f"k* = {'unknown' if shared_dim is None else shared_dim}"


def _chance(chart: str, n: int) -> str:
    """Return the expected value of guessing among n rows."""
    chances = {"top_1": f"{1 / n:.4f}", "median_rank": f"{(n + 1) / 2:g}"}
    measure = chart.partition("/")[2]
    return f"chance {chances[measure]}" if measure in chances else ""


def _charts(results: Mapping[str, Any], *kinds: str) -> list[Metric]:
    """Return one metric of each chart of these kinds, in the order of the vocabulary."""
    metrics = sorted((describe(name) for name in results["metrics"]), key=lambda metric: metric.order)
    of_kinds = [metric for metric in metrics if metric.name.partition("/")[0] in kinds and metric.part]
    return list({metric.chart: metric for metric in of_kinds}.values())


def _metric_rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row per quantity."""
    dimensions, matchings = _charts(results, "id"), _charts(results, "matching", "retrieval")
    sides = _measured(results, dimensions, MODALITIES)
    rows: list[tuple[str, ...]] = [("", *sides.values(), "truth")]
    for metric in dimensions:
        numbers = [_show(results, f"{metric.chart}/{side}") for side in sides]
        rows.append((metric.title, *numbers, _truth(results)))
    directions = _measured(results, matchings, FURTHER_DIRECTIONS)
    rows.append(("", *directions.values(), ""))
    for metric in matchings:
        numbers = [_show(results, f"{metric.chart}/{direction}") for direction in directions]
        rows.append((metric.title, *numbers, _chance(metric.chart, results["n_test"])))
    if "temperature" in results["metrics"]:
        limit = "→ 0" if _learns_temperature(results["config"]) else ""
        rows.append((describe("temperature").title, _show(results, "temperature"), "", limit))
    width = max(map(len, rows))  # three modalities have six directions
    return [(*row[:-1], *[""] * (width - len(row)), row[-1]) for row in rows]


def _measured(
    results: Mapping[str, Any], charts: Sequence[Metric], parts: Mapping[str, str]
) -> dict[str, str]:
    """Return the modalities or directions of x and y, and those of further modalities that have been measured."""
    usual = SIDES | DIRECTIONS
    names = results["metrics"]
    return {
        part: words
        for part, words in parts.items()
        if part in usual or any(f"{metric.chart}/{part}" in names for metric in charts)
    }


def _dimension_rows(results: Mapping[str, Any], output_dims: tuple[int, ...]) -> list[tuple[str, ...]]:
    """Return a row per output dimension."""
    matchings = [f"{metric.chart}/x_to_y" for metric in _charts(results, "matching", "retrieval")]
    tau = [name for name in ("temperature",) if name in results["metrics"]]
    columns = ["id/mle/x", "id/mle/y", *matchings, *tau]
    titles = [" ".join(filter(None, [describe(name).short, describe(name).part])) for name in columns]
    rows: list[tuple[str, ...]] = [(f"d ({_truth(results)})", *titles)]
    rows += [
        (str(d), *(_show(results, metric, place) for metric in columns))
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
    return plus_minus(mean, std) + _of_replicates(summary.get("values"), place)


def _of_replicates(values: Sequence[Any] | None, place: int | None) -> str:
    """Return ` (1 of 2 replicates)` where a mean is not of all, since the others have no number; else nothing."""
    own = values if values is None or place is None else values[place]
    measured = sum(value is not None for value in own or ())
    return f" ({measured} of {len(own)} replicates)" if own and measured < len(own) else ""
