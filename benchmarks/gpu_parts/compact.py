"""Bring back the numbers of hundreds of trainings in a file of a few megabytes."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pandas as pd

from gpu_parts.machine import describe_machine
from gpu_parts.settings import Settings

DIGITS = 6


def write_compact(figure: str, settings: Settings, folder: Path, results: dict[str, Any]) -> None:
    """Write the final numbers of every replicate, and mean and spread along the way for each output dimension.

    Args:
        figure: names the file.
        settings: where to write.
        folder: of the run.
        results: the content of its results.json.
    """
    keys = ("status", "config", "seed", "versions", "timings", "shared_dim", "n_test", "reasons", "notes")
    content = {
        "machine": describe_machine(settings.device),
        **{key: results[key] for key in keys},
        "finals": {name: _rounded(metric["values"]) for name, metric in results["metrics"].items()},
        "along_the_way": course(folder / "metrics.csv"),
    }
    _write(settings.output / f"{figure}.json", content)


def write_unfinished(figure: str, settings: Settings) -> list[dict[str, Any]]:
    """Write what a training that did not end has logged, and return how far it came."""
    from gpu_parts.training import EXPERIMENTS

    folder = _latest_run(settings, EXPERIMENTS[figure])
    logged = course(folder / "metrics.csv")
    epochs = max(row["epoch"] for row in logged)
    content = {"machine": describe_machine(settings.device), "status": "unfinished", "along_the_way": logged}
    _write(settings.output / f"{figure}.json", content)
    return [{"name": "so far", "epochs": epochs}]


def course(path: Path) -> list[dict[str, Any]]:
    """Return mean, standard deviation and number of every metric's replicates by output dimension and epoch.

    Of metrics that are logged more than once in an epoch the last is taken.
    """
    table = pd.read_csv(path)
    table["output_dim"] = table["output_dim"].fillna(-1)  # a group key
    last = table.groupby(["metric", "epoch"])["step"].transform("max")
    groups = table[table["step"] == last].groupby(["metric", "output_dim", "epoch", "step"])["value"]
    rows = groups.agg(["mean", "std", "count"]).reset_index().to_dict("records")
    return [{str(key): _rounded(value) for key, value in row.items()} for row in rows]


def _latest_run(settings: Settings, experiment: str) -> Path:
    """Return the folder of an experiment's run that was written last."""
    folders = (settings.runs / experiment).glob("*/metrics.csv")
    return max(folders, key=lambda path: path.stat().st_mtime).parent


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def _write(path: Path, content: dict[str, Any]) -> None:
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_text(json.dumps(content, allow_nan=False, default=str))
    os.replace(unfinished, path)
