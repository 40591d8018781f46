"""Gather many finished runs into one tidy table."""

import contextlib
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from intrinsic_clip.errors import ConfigError, Unfinished
from intrinsic_clip.runs.chunk_folders import CHUNKS, chunk_folders, read_plan
from intrinsic_clip.runs.results import CONFIG, FAILED, RESULTS
from intrinsic_clip.runs.run import Run


def collect(folder: str | Path, unfinished: bool = False) -> pd.DataFrame:
    """Return all finished runs below a folder as a tidy table: a row per run, metric and replicate.

    Columns: run (its folder), name, seed, config keys as `encoder.output_dim` …, replicate, metric, value.
    A run that is unfinished, or whose results cannot be read, is left out with a warning that names it; an
    empty folder gives an empty table with the columns that every table has.

    Args:
        folder: where to look for runs.
        unfinished: whether to include the repetitions that an unfinished run has finished, chunk by chunk
            (`replicates_per_chunk`). Their `run` is the folder of the chunk, and a warning says how many there are.
    """
    rows: list[dict[str, Any]] = []
    for run_folder in _run_folders(Path(folder).expanduser()):
        try:
            rows += _rows(run_folder)
        except Unfinished as error:
            finished = _rows_of_chunks(run_folder) if unfinished else []
            rows += finished
            what = f"is left out: {error}"
            if finished:
                done = len({row["replicate"] for row in finished})
                what = f"is unfinished: {done} of its {finished[0]['replicates']} repetitions are done"
            warnings.warn(f"{run_folder} {what}", stacklevel=2)
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            reason = str(error) if isinstance(error, ConfigError) else f"{RESULTS} is damaged ({error!r})"
            warnings.warn(f"{run_folder} is left out: {reason}", stacklevel=2)
    return pd.DataFrame(
        rows, columns=None if rows else ["run", "name", "seed", "replicate", "metric", "value"]
    )


def _run_folders(folder: Path) -> Iterator[Path]:
    """Yield the folders that runs have written; folders inside one, such as its `chunks`, belong to that run."""
    for path, folders, files in os.walk(folder):
        if {RESULTS, CONFIG, FAILED} & set(files):
            folders.clear()
            yield Path(path)
        else:
            folders[:] = sorted(name for name in folders if name != CHUNKS and not name.startswith("."))


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


def _rows_of_chunks(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of the finished chunks of an unfinished run, with the run's number of replicates."""
    chunks: list[list[int]] = []
    with contextlib.suppress(ConfigError, OSError):  # without its plan it counts as not begun
        chunks = read_plan(folder) or []
    rows = []
    for chunk in chunk_folders(folder, chunks):
        with contextlib.suppress(Unfinished, ConfigError):
            rows += _rows(chunk)
    return [row | {"replicates": sum(map(len, chunks))} for row in rows]


def _flat(values: list[Any]) -> list[Any]:
    return [v for row in values for v in row] if isinstance(values[0], list) else values


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested keys as `encoder.output_dim` …; lists stay as they are."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
