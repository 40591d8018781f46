"""Gather many finished runs into one tidy table."""

import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from intrinsic_clip.errors import ConfigError, Unfinished
from intrinsic_clip.runs.results import FAILED, RESULTS
from intrinsic_clip.runs.run import Run


def collect(folder: str | Path) -> pd.DataFrame:
    """Return all finished runs below a folder as a tidy table: a row per run, metric and replicate.

    Columns: run (its folder), name, seed, config keys as `encoder.output_dim` …, replicate, metric, value.
    A run that is unfinished, or whose results cannot be read, is left out with a warning that names it; an
    empty folder gives an empty table with the columns that every table has.
    """
    rows: list[dict[str, Any]] = []
    for run_folder in _run_folders(Path(folder).expanduser()):
        try:
            rows += _rows(run_folder)
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            known = isinstance(error, Unfinished | ConfigError)
            reason = str(error) if known else f"{RESULTS} is damaged ({error!r})"
            warnings.warn(f"{run_folder} is left out: {reason}", stacklevel=2)
    return pd.DataFrame(
        rows, columns=None if rows else ["run", "name", "seed", "replicate", "metric", "value"]
    )


def _run_folders(folder: Path) -> Iterator[Path]:
    """Yield the folders that runs have written; folders inside one, such as its `chunks`, belong to that run."""
    for path, folders, files in os.walk(folder):
        if {RESULTS, "config.yaml", FAILED} & set(files):
            folders.clear()
            yield Path(path)
        else:
            folders[:] = sorted(name for name in folders if name != "chunks" and not name.startswith("."))


def _rows(folder: Path) -> list[dict[str, Any]]:
    """Return a row per metric and training of one run."""
    run = Run.load(folder)
    settings = {"run": str(folder), **flatten(run.settings)}
    axes = [
        {"replicate": index or 0} if d is None else {"encoder.output_dim": d, "replicate": index or 0}
        for d, index in run.replicates.labels()
    ]
    return [
        {**settings, **axis, "metric": metric, "value": value}
        for metric, summary in run.metrics.items()
        for axis, value in zip(axes, _flat(summary["values"]), strict=True)
    ]


def _flat(values: list[Any]) -> list[Any]:
    return [v for row in values for v in row] if isinstance(values[0], list) else values


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested keys as `encoder.output_dim` …; lists stay as they are."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
