"""Gather everything that the report of a folder shows into one JSON object."""

import time
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.reports.number_format import listed
from intrinsic_clip.reports.page.geometry import geometry
from intrinsic_clip.reports.page.metric_families import metric_families
from intrinsic_clip.reports.page.settings import (
    Training,
    axes,
    differing,
    grouped,
    short_names,
    shown,
    trainings_of,
)
from intrinsic_clip.reports.page.trajectories import trajectories
from intrinsic_clip.runs.results import RESULTS, lacking
from intrinsic_clip.runs.run import Run
from intrinsic_clip.runs.tidy_table import collect, flatten

NAMED = 3  # runs, at most, that a note lists


def contents(folder: Path) -> dict[str, Any]:
    """Return the data that the page's script draws.

    `trainings` are in the order of `groups`, the repetitions of the same settings; `metrics` has a value of each.

    Raises:
        ConfigError: there is no such folder, or no finished run in it.
    """
    if not folder.is_dir():
        what = "is a file; give a folder of runs" if folder.exists() else "no such folder"
        raise ConfigError(f"{folder}: {what}")
    table, left_out = _collected(folder)
    runs, without = _shown(table)
    left_out += without
    table = table[table["run"].isin([str(path) for path in runs])]
    if not runs:
        raise ConfigError(f"{folder}: no finished run in it" + "".join(f"; {reason}" for reason in left_out))
    every_training = [training for run in runs.values() for training in trainings_of(run)]
    keys = differing(every_training)
    groups = grouped(every_training, keys)
    trainings = [training for group in groups for training in group]
    duplicates = len(every_training) - len(trainings)
    names = short_names(keys)
    charts, charts_notes = _charts(table, groups, runs)
    return {
        "name": ", ".join(dict.fromkeys(run.settings["name"] for run in runs.values())),
        "differing": [{"key": key, "name": names[key]} for key in keys],
        "axes": axes(groups, keys) if len(groups) > 1 else [],
        "groups": [_group(group, keys, names, runs[group[0].run]) for group in groups],
        "trainings": [
            {"group": place, "label": label}
            for place, group in enumerate(groups)
            for label in _labels(group, every_training)
        ],
        **charts,
        "settings": _settings(list(runs.values()), keys),
        "runs": [_run(folder, run) for run in runs.values()],
        "reasons": _by_run(folder, runs.values(), _reasons),
        "left_out": left_out,
        "notes": [
            *([f"{duplicates} of the trainings are there twice and count once"] if duplicates else []),
            *charts_notes,
            *_by_run(folder, runs.values(), lambda run: run.results.get("notes", [])),
        ],
    }


def _charts(
    table: pd.DataFrame, groups: Sequence[Sequence[Training]], runs: Mapping[Path, Run]
) -> tuple[dict[str, Any], list[str]]:
    """Return final numbers, curves over training, histograms and spectra, and notes on what is missing."""
    trainings = [training for group in groups for training in group]
    metrics = _values(table, trainings)
    families = metric_families(metrics)
    drawn = [line["metric"] for family in families for line in family["lines"]]
    curves, without_curves = trajectories(trainings, runs, drawn)
    similarities, spectra, without_embeddings = geometry(groups, runs)
    charts = {
        "metrics": metrics,
        "families": families,
        "trajectories": curves,
        "similarities": similarities,
        "spectra": spectra,
    }
    return charts, [*without_curves, *without_embeddings]


def _collected(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return the table of all runs, and which were left out and why."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = collect(folder)
    return table, [str(warning.message) for warning in caught if " is left out: " in str(warning.message)]


def _shown(table: pd.DataFrame) -> tuple[dict[Path, Run], list[str]]:
    """Return the runs that can be shown, and which cannot and why."""
    runs = {Path(path): Run.load(path) for path in table["run"].unique()}
    reasons = {path: lacking(run.results) for path, run in runs.items()}
    return (
        {path: run for path, run in runs.items() if reasons[path] is None},
        [
            f"{path} is left out: {RESULTS} is damaged ({reason})"
            for path, reason in reasons.items()
            if reason
        ],
    )


def _values(table: pd.DataFrame, trainings: Sequence[Training]) -> dict[str, list[float | None]]:
    """Return the value of each training by metric; None where it was not measured."""
    by_run = {
        Path(str(run)): {
            str(metric): values.tolist() for metric, values in rows.groupby("metric", sort=False)["value"]
        }
        for run, rows in table.groupby("run", sort=False)
    }
    names = dict.fromkeys(metric for metrics in by_run.values() for metric in metrics)
    return {name: [_value(by_run[t.run].get(name), t.place) for t in trainings] for name in names}


def _value(values: list[float | None] | None, place: int) -> float | None:
    return None if values is None or pd.isna(values[place]) else values[place]


def _group(
    group: Sequence[Training], keys: Sequence[str], names: Mapping[str, str], run: Run
) -> dict[str, Any]:
    """Return the page's entry for a group of repetitions; `run` is the run of the first."""
    settings = {key: shown(key, group[0].settings[key]) for key in keys if key in group[0].settings}
    words = {names[key]: _text(value).removesuffix(".0") for key, value in settings.items()}
    return {
        "label": ", ".join(f"{name} = {value}" for name, value in words.items()) or run.settings["name"],
        "short": " · ".join(words.values()),
        "settings": settings,
        "shared_dim": run.results["shared_dim"],
        "n_test": run.results["n_test"],
        "repetitions": len(group),
    }


def _labels(group: Sequence[Training], every_training: Sequence[Training]) -> list[str]:
    """Return labels that distinguish the trainings of a group: replicate, seed, or both."""
    seeds, indices = (len({t.repetition[axis] for t in every_training}) > 1 for axis in (0, 1))
    return [
        f"seed {seed}, replicate {index}"
        if seeds and indices
        else f"seed {seed}"
        if seeds
        else f"replicate {index}"
        for seed, index in (training.repetition for training in group)
    ]


def _settings(runs: Sequence[Run], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Return every key of any run, with its distinct values and the number of runs that have each."""
    configs = [flatten(run.settings) for run in runs]
    rows = []
    for key in dict.fromkeys(key for config in configs for key in config):
        texts = [_text(config[key]) if key in config else "not set" for config in configs]
        values = pd.Series(texts).value_counts(sort=False)
        rows.append(
            {
                "key": key,
                "differs": key in keys or len(values) > 1,
                "values": [[value, int(count)] for value, count in values.items()],
            }
        )
    return rows


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{', '.join(_text(part) for part in value)}]" if isinstance(value, list) else str(value)


def _run(folder: Path, run: Run) -> dict[str, Any]:
    finished = time.localtime((run.folder / RESULTS).stat().st_mtime)
    return {
        "folder": _name(folder, run),
        "date": time.strftime("%Y-%m-%d %H:%M", finished),
        "trainings": len(run.replicates),
        "seconds": run.results["timings"]["fit_seconds"],
        "versions": run.results["versions"],
    }


def _reasons(run: Run) -> list[str]:
    """Return why some numbers of a run could not be measured."""
    return [f"{name}: {reason}" for name, reason in run.results.get("reasons", {}).items()]


def _by_run(folder: Path, runs: Collection[Run], said: Callable[[Run], Iterable[str]]) -> list[str]:
    """Return what is said of runs, each sentence once, with the runs that it is about unless it is about all."""
    about: dict[str, list[str]] = {}
    for run in runs:
        for sentence in dict.fromkeys(said(run)):
            about.setdefault(sentence, []).append(_name(folder, run))
    return [
        sentence if len(names) == len(runs) else f"{listed(names[:NAMED], len(names))}: {sentence}"
        for sentence, names in about.items()
    ]


def _name(folder: Path, run: Run) -> str:
    """Return the path of a run below the folder of a report, or its own name where the two are one."""
    if run.folder == folder:
        return run.folder.resolve().name
    return run.folder.relative_to(folder).as_posix()
