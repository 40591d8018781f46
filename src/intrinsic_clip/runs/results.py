"""Write and read results.json and metrics.csv, and name the other files of a run folder."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from intrinsic_clip.errors import ConfigError, Unfinished
from intrinsic_clip.runs.atomic import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

RESULTS = "results.json"
METRICS = "metrics.csv"
COLUMNS = ("step", "epoch", "metric", "output_dim", "replicate", "value")  # of metrics.csv
EXAMPLES = "examples.png"
FAILED = "failed.txt"
CHECKPOINT = "last.ckpt"


def read(folder: Path) -> dict[str, Any]:
    """Return the results of a finished run.

    Raises:
        Unfinished: the run has failed or is unfinished, or its results are damaged; the message says which.
    """
    try:
        text = (folder / RESULTS).read_text()
    except OSError:
        failed = folder / FAILED
        raise Unfinished(
            f"failed ({failed.read_text().strip()})" if failed.exists() else "unfinished"
        ) from None
    try:
        results = json.loads(text)
        if results["status"] != "completed":
            raise Unfinished("unfinished")
        results["config"]["replicates"], results["metrics"].items()
    except Unfinished:
        raise
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise Unfinished(f"{RESULTS} is damaged ({error!r})") from error
    return results


def read_completed(folder: Path, name: str = RESULTS) -> dict[str, Any] | None:
    """Return what a finished run or measurement wrote, or None if it is unfinished or the file is not valid."""
    try:
        results = json.loads((folder / name).read_text())
    except (OSError, ValueError):
        return None
    return results if isinstance(results, dict) and results.get("status") == "completed" else None


def write_results(folder: Path, results: Mapping[str, Any], name: str = RESULTS) -> None:
    """Write results.json, last and atomically: a folder that has it is done."""
    write_atomically(folder / name, json.dumps(results, indent=2, allow_nan=False) + "\n")


def summarise(value: "Tensor | list[Any]") -> dict[str, Any]:
    """Return mean and standard deviation over the replicates of one metric, and each one's value; NaN becomes null.

    A lone run `()` has one value and std null, `(replicates,)` a list of values. With output dimensions in front,
    `(D, replicates)`, mean, std and values are lists with an entry for each.

    Args:
        value: a tensor `(*R,)`, or the list that `values` holds for it.
    """
    values = value if isinstance(value, list) else value.double().reshape(value.shape or (1,)).tolist()
    if isinstance(values[0], list):
        summaries = [summarise(row) for row in values]
        return {key: [summary[key] for summary in summaries] for key in ("mean", "std", "values")}
    values = [number if number is not None and math.isfinite(number) else None for number in values]
    numbers = pd.Series([number for number in values if number is not None], dtype=float)
    mean = float(numbers.mean()) if len(numbers) else None
    return {"mean": mean, "std": float(numbers.std()) if len(numbers) > 1 else None, "values": values}


def read_metrics(folder: Path) -> pd.DataFrame:
    """Return the metrics over time of one run: columns step, epoch, metric, output_dim, replicate, value.

    output_dim and replicate are empty where the run has no such axis.

    Raises:
        ConfigError: metrics.csv is missing or damaged.
    """
    path = folder / METRICS
    try:
        table = pd.read_csv(path)
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: damaged ({' '.join(str(error).split())})") from error
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise ConfigError(f"{path}: damaged (no column {missing[0]})")
    return table
