"""Thin curves over training to the points that a chart can show."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from intrinsic_clip.reports.page.settings import Training
from intrinsic_clip.runs.run import Run

POINTS = 500  # at most of a curve
TOTAL = 300_000  # values in a page, about 2 MB; beyond that, curves keep fewer points
FEWEST = 20  # points that a curve keeps in any case
DIGITS = 5

Curves = dict[str, tuple[np.ndarray, np.ndarray]]  # of a run, by metric: steps (s,) and values (trainings, s)


def trajectories(
    trainings: Sequence[Training], runs: Mapping[Path, Run], metrics: Iterable[str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the curves of these trainings, and notes on runs without curves.

    The curves are `grids`, the distinct lists of steps; `curves`, by metric a list with [grid, values] or null for
    each training; and `points`, how many a curve has at most (null where none was thinned).

    Args:
        trainings: in the order of the lists.
        runs: their runs by folder.
        metrics: names of the curves.
    """
    wanted = set(metrics)
    by_run: dict[Path, Curves] = {}
    notes = []
    for folder, run in runs.items():
        try:
            by_run[folder] = _curves(run, wanted)
        except (ValueError, LookupError) as error:
            notes.append(f"{folder.name}: no curves over training ({error})")
    most = _points(by_run.values())
    grids: dict[tuple[int, ...], int] = {}
    curves: dict[str, list[Any]] = {}
    longest = 0
    for place, training in enumerate(trainings):
        for metric, (steps, values) in by_run.get(training.run, {}).items():
            longest = max(longest, len(steps))
            kept = _kept(len(steps), most)
            grid = grids.setdefault(tuple(steps[kept].tolist()), len(grids))
            numbers = [rounded(value) for value in values[training.place][kept]]
            curves.setdefault(metric, [None] * len(trainings))[place] = [grid, numbers]
    return {"grids": list(grids), "curves": curves, "points": most if longest > most else None}, notes


def rounded(value: float, digits: int = DIGITS) -> float | None:
    """Round to significant digits; None for NaN and infinity."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def _curves(run: Run, wanted: set[str]) -> Curves:
    """Return the curves that have more than one point."""
    table = run.history()
    table = table[table["metric"].isin(wanted)]
    axes = table[["output_dim", "replicate"]].fillna(-1).astype(int)
    table = pd.DataFrame({"metric": table["metric"], "step": table["step"], "value": table["value"], **axes})
    columns = [
        tuple(-1 if axis is None else axis for axis in training_label)
        for training_label in run.replicates.labels()
    ]
    curves = {}
    for metric, rows in table.groupby("metric"):
        rows = rows.drop_duplicates(["step", "output_dim", "replicate"], keep="last")
        wide = rows.pivot(index="step", columns=["output_dim", "replicate"], values="value").sort_index()
        if len(wide) > 1:
            curves[str(metric)] = (wide.index.to_numpy(), wide.reindex(columns=columns).to_numpy(float).T)
    return curves


def _points(curves_of_runs: Iterable[Curves]) -> int:
    """Return how many points a curve may have for all of them to fit."""
    counts = [len(steps) for curves in curves_of_runs for steps, values in curves.values() for _ in values]
    most = POINTS
    while most > FEWEST and sum(min(count, most) for count in counts) > TOTAL:
        most = max(FEWEST, most * 3 // 4)
    return most


def _kept(count: int, most: int) -> np.ndarray:
    """Return the places of every n-th point, and of the last."""
    every = math.ceil((count - 1) / (most - 1)) if count > most else 1
    return np.unique(np.append(np.arange(0, count, every), count - 1))
