"""Everything that the report of a folder shows, as one JSON object: read from finished runs, nothing computed anew."""

import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from intrinsic_clip.errors import ConfigError
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
from intrinsic_clip.runs.results import RESULTS, read_completed
from intrinsic_clip.runs.tidy_table import collect, flatten


def contents(folder: Path) -> dict[str, Any]:
    """What the page's script draws.

    `trainings` lie in the order of `groups`, which are repetitions of the same settings; `metrics` has a value of each.

    Raises:
        ConfigError: there is no such folder, or no finished run in it.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder")
    table, left_out = _collected(folder)
    runs = {Path(run): read_completed(Path(run)) or {} for run in table["run"].unique()}
    if not runs:
        raise ConfigError(f"{folder}: no finished run in it" + "".join(f"; {reason}" for reason in left_out))
    configs = {run: found["config"] for run, found in runs.items()}
    everything = [training for run, config in configs.items() for training in trainings_of(run, config)]
    keys = differing(everything)
    groups = grouped(everything, keys)
    trainings = [training for group in groups for training in group]
    metrics = _values(table, trainings)
    charts = metric_families(metrics)
    wanted = [line["metric"] for chart in charts for line in chart["lines"]]
    curves, without_curves = trajectories(trainings, configs, wanted)
    similarities, spectra, without_embeddings = geometry(groups, configs)
    names = short_names(keys)
    twice = len(everything) - len(trainings)
    return {
        "name": ", ".join(dict.fromkeys(config["name"] for config in configs.values())),
        "differing": [{"key": key, "name": names[key]} for key in keys],
        "axes": axes(groups, keys) if len(groups) > 1 else [],
        "groups": [_group(group, keys, names, runs) for group in groups],
        "trainings": [
            {"group": place, "label": label}
            for place, group in enumerate(groups)
            for label in _labels(group, everything)
        ],
        "metrics": metrics,
        "families": charts,
        "trajectories": curves,
        "similarities": similarities,
        "spectra": spectra,
        "settings": _settings(configs, keys),
        "runs": [_run(folder, run, found) for run, found in runs.items()],
        "reasons": _reasons(runs),
        "left_out": left_out,
        "notes": [
            *([f"{twice} of the trainings are there twice and count once"] if twice else []),
            *without_curves,
            *without_embeddings,
        ],
    }


def _collected(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = collect(folder)
    return table, [str(warning.message) for warning in caught if " is left out: " in str(warning.message)]


def _values(table: pd.DataFrame, trainings: Sequence[Training]) -> dict[str, list[float | None]]:
    """By metric, of each training; null where it was not measured."""
    of_runs = {
        Path(str(run)): {
            str(metric): rows.tolist() for metric, rows in of_run.groupby("metric", sort=False)["value"]
        }
        for run, of_run in table.groupby("run", sort=False)
    }
    names = dict.fromkeys(metric for of_run in of_runs.values() for metric in of_run)
    return {name: [_value(of_runs[t.run].get(name), t.place) for t in trainings] for name in names}


def _value(values: list[float | None] | None, place: int) -> float | None:
    return None if values is None or pd.isna(values[place]) else values[place]


def _group(
    group: Sequence[Training], keys: Sequence[str], names: Mapping[str, str], runs: Mapping[Path, Any]
) -> dict[str, Any]:
    settings = {key: shown(key, group[0].settings[key]) for key in keys if key in group[0].settings}
    own = {names[key]: _text(value).removesuffix(".0") for key, value in settings.items()}
    found = runs[group[0].run]
    return {
        "label": ", ".join(f"{name} = {value}" for name, value in own.items()) or found["config"]["name"],
        "short": " · ".join(own.values()),
        "settings": settings,
        "shared_dim": found["shared_dim"],
        "n_test": found["n_test"],
        "repetitions": len(group),
    }


def _labels(group: Sequence[Training], everything: Sequence[Training]) -> list[str]:
    """What tells a training from the others of its group: replicate, seed, or both."""
    seeds, indices = (len({t.repetition[axis] for t in everything}) > 1 for axis in (0, 1))
    return [
        f"seed {seed}, replicate {index}"
        if seeds and indices
        else f"seed {seed}"
        if seeds
        else f"replicate {index}"
        for seed, index in (training.repetition for training in group)
    ]


def _settings(configs: Mapping[Path, Mapping[str, Any]], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Every key of any run, with its distinct values and in how many runs each stands."""
    flat = [flatten(config) for config in configs.values()]
    rows = []
    for key in dict.fromkeys(key for one in flat for key in one):
        values = pd.Series([_text(one[key]) if key in one else "not set" for one in flat]).value_counts(
            sort=False
        )
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


def _run(folder: Path, run: Path, found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "folder": run.relative_to(folder).as_posix() if run != folder else run.resolve().name,
        "date": time.strftime("%Y-%m-%d %H:%M", time.localtime((run / RESULTS).stat().st_mtime)),
        "trainings": len(trainings_of(run, found["config"])),
        "seconds": found["timings"]["fit_seconds"],
        "versions": found["versions"],
    }


def _reasons(runs: Mapping[Path, Mapping[str, Any]]) -> list[str]:
    """Why some numbers could not be measured, each once."""
    return list(
        dict.fromkeys(
            f"{name}: {reason}"
            for found in runs.values()
            for name, reason in found.get("reasons", {}).items()
        )
    )
