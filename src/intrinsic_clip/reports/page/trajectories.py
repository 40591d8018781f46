"""What was measured over training, thinned to what a chart can show."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from intrinsic_clip.reports.page.settings import Training
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.runs.results import read_metrics

POINTS = 500  # of a curve at most
TOTAL = 300_000  # values in a page, about 2 MB; of more, curves keep fewer points
FEWEST = 20  # that they keep however many there are
DIGITS = 5

Curves = dict[str, tuple[np.ndarray, np.ndarray]]  # of a run, by metric: steps (s,) and values (trainings, s)


def trajectories(
    trainings: Sequence[Training], configs: Mapping[Path, Mapping[str, Any]], metrics: Iterable[str]
) -> tuple[dict[str, Any], list[str]]:
    """The curves of these trainings, and notes on what is not there.

    The curves are `grids`, the distinct lists of steps; `curves`, by metric a list with [grid, values] or null for
    each training; and `points`, how many a curve has at most (null where none was thinned).

    Args:
        trainings: in the order of the lists.
        configs: the resolved configs of their runs.
        metrics: those wanted.
    """
    wanted = set(metrics)
    of_runs: dict[Path, Curves] = {}
    notes = []
    for run, config in configs.items():
        try:
            of_runs[run] = _curves(run, Replicates.of(config), wanted)
        except (OSError, ValueError, LookupError) as error:
            notes.append(f"{run.name}: no curves over training ({type(error).__name__} reading metrics.csv)")
    most = _points(of_runs.values())
    grids: dict[tuple[int, ...], int] = {}
    curves: dict[str, list[Any]] = {}
    longest = 0
    for place, training in enumerate(trainings):
        for metric, (steps, values) in of_runs.get(training.run, {}).items():
            longest = max(longest, len(steps))
            kept = _kept(len(steps), most)
            grid = grids.setdefault(tuple(steps[kept].tolist()), len(grids))
            numbers = [rounded(value) for value in values[training.place][kept]]
            curves.setdefault(metric, [None] * len(trainings))[place] = [grid, numbers]
    return {"grids": list(grids), "curves": curves, "points": most if longest > most else None}, notes


def rounded(value: float, digits: int = DIGITS) -> float | None:
    """So many significant digits; None for what is not a number."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def _curves(run: Path, replicates: Replicates, wanted: set[str]) -> Curves:
    """Those with more than one point."""
    table = read_metrics(run)
    table = table[table["metric"].isin(wanted)]
    axes = table[["output_dim", "replicate"]].fillna(-1).astype(int)
    table = pd.DataFrame({"metric": table["metric"], "step": table["step"], "value": table["value"], **axes})
    columns = [
        tuple(-1 if axis is None else axis for axis in training_label)
        for training_label in replicates.labels()
    ]
    found = {}
    for metric, rows in table.groupby("metric"):
        rows = rows.drop_duplicates(["step", "output_dim", "replicate"], keep="last")
        wide = rows.pivot(index="step", columns=["output_dim", "replicate"], values="value").sort_index()
        if len(wide) > 1:
            found[str(metric)] = (wide.index.to_numpy(), wide.reindex(columns=columns).to_numpy(float).T)
    return found


def _points(of_runs: Iterable[Curves]) -> int:
    """How many points a curve may have for all of them to fit."""
    counts = [len(steps) for curves in of_runs for steps, values in curves.values() for _ in values]
    most = POINTS
    while most > FEWEST and sum(min(count, most) for count in counts) > TOTAL:
        most = max(FEWEST, most * 3 // 4)
    return most


def _kept(count: int, most: int) -> np.ndarray:
    """Every n-th, and the last."""
    every = math.ceil((count - 1) / (most - 1)) if count > most else 1
    return np.unique(np.append(np.arange(0, count, every), count - 1))
