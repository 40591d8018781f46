"""Choose the runs of an experiment that one figure may show together, and count each training once."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import pandas as pd

from intrinsic_clip.config.paths import is_text
from intrinsic_clip.runs.addresses import CAME_LATER, content_of
from intrinsic_clip.runs.contents import digest
from intrinsic_clip.runs.run import Run
from intrinsic_clip.runs.tidy_table import flatten
from intrinsic_clip.sweeps.described import described_runs

# Settings in which repetitions of one training differ, and the output dimension, which is the axis of figures.
FREE = {"name", "size", "seed", "data.seed", "replicates", "data.replicates", "encoder.output_dim"}
PROBES, HOW_OFTEN, DATA = "probes.", "every_n_epochs", "data."
OUTPUT_DIM = "encoder.output_dim"
# Columns in which repetitions of one training differ: another seed of the data alone draws other data.
REPETITION = ("seed", "data.seed", "replicate")
MOST_NAMED = 3


@dataclass(frozen=True)
class ComparableRuns:
    """Runs of one experiment and size whose settings agree, but for what the experiment itself varies.

    Attributes:
        table: their rows of `collect`, each training once.
        departure: settings that differ from the experiment's file, as `trainer.max_epochs=3`; "" if none does.
        left_out: a sentence for each group of other runs.
        partial: how many of the settings that the experiment sweeps over have a run, and how many there are; None if
            all have one.
    """

    table: pd.DataFrame
    departure: str
    left_out: list[str]
    partial: tuple[int, int] | None


def comparable(experiment: str, size: str, table: pd.DataFrame) -> ComparableRuns:
    """Return the runs that are as the experiment's file describes; if there are none, the largest group that agrees.

    Args:
        experiment: whose file the runs are compared with.
        size: paper, laptop or smoke.
        table: rows of `collect` of this experiment and size.
    """
    contents = {run: _flat_content(Run.load(run).settings) for run in table["run"].unique()}
    described = described_runs(experiment, size)
    references = [_flat_content(settings) for settings in described.runs]
    free = FREE | set(described.swept) | _agreed_files(contents.values())
    groups = table["run"].map(
        {run: departure(content, references, free) for run, content in contents.items()}
    )
    counts = groups.value_counts()
    chosen = "" if "" in counts else str(counts.index[0])
    others = f"trained with {chosen}" if chosen else f"as experiment={experiment} size={size} says"
    left_out = [
        f"{', '.join(table['run'][groups == other].unique())} left out of figures: trained with {other}; "
        f"others are {others}"
        for other in counts.index
        if other != chosen
    ]
    own = table[groups == chosen]
    made = [contents[run] for run in own["run"].unique()]
    settings = [
        apart | dict(zip(described.swept, values, strict=True))
        for apart in _apart(references, made, free)
        for values in product(*described.swept.values())
    ]
    count = sum(any(_covers(content, each) for content in made) for each in settings)
    partial = (count, len(settings)) if count < len(settings) else None
    return ComparableRuns(_each_training_once(own, contents), chosen, left_out, partial)


def _apart(
    references: Sequence[Mapping[str, Any]], made: Sequence[Mapping[str, Any]], free: Collection[str]
) -> list[dict[str, Any]]:
    """Return, for each run that an experiment describes, the settings in which it differs from its other runs.

    Those in which all runs that were made depart from every described one tell none of them apart.
    """
    keys = {key for reference in references for key in reference} - set(free)
    apart = []
    for key in (key for key in keys if not key.startswith(PROBES)):
        described = [reference.get(key) for reference in references]
        differ = any(value != described[0] for value in described)
        if differ and any(content.get(key) in described for content in made):
            apart.append(key)
    return [{key: reference.get(key) for key in apart} for reference in references]


def _covers(content: Mapping[str, Any], setting: Mapping[str, Any]) -> bool:
    """Return whether a run has these values, alone or, as output dimensions, among others side by side."""
    return all(
        content.get(key) == value or (isinstance(content.get(key), list) and value in content[key])
        for key, value in setting.items()
    )


def _flat_content(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that can change a run's numbers, by their dotted names on the command line."""
    content = CAME_LATER | content_of(settings)
    return flatten({"objective" if key == "loss" else key: value for key, value in content.items()})


def _agreed_files(contents: Collection[Mapping[str, Any]]) -> set[str]:
    """Return the settings that say where the user's data lie, if they do so alike in all runs."""
    keys = {key for content in contents for key in content if key.startswith(DATA) and is_text(key)}
    return {key for key in keys if len({json.dumps(content.get(key)) for content in contents}) == 1}


def departure(
    content: Mapping[str, Any], references: Sequence[Mapping[str, Any]], free: Collection[str]
) -> str:
    """Return in which settings a run differs from the most similar reference, as `trainer.max_epochs=3`.

    Args:
        content: the run's settings that can change its numbers, flat.
        references: those that an experiment's file describes.
        free: settings that may differ.
    """
    differing = min(
        ([key for key, value in content.items() if key not in free and _differs(key, value, reference)]
         for reference in references),
        key=len,
    )  # fmt: skip
    named = [f"{key}={_short(content[key])}" for key in sorted(differing)]
    more = f" and {len(named) - MOST_NAMED} other settings" if len(named) > MOST_NAMED else ""
    return ", ".join(named[:MOST_NAMED]) + more


def _differs(key: str, value: Any, reference: Mapping[str, Any]) -> bool:
    expected = reference.get(key)
    if key.startswith(PROBES):  # more of them measure more, and change no number of the others
        measures_otherwise = key in reference and not isinstance(value, list) and value != expected
        return measures_otherwise and not key.endswith(HOW_OFTEN)
    return key not in reference or value != expected


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _each_training_once(table: pd.DataFrame, contents: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows without those of a training that another run has too: one with more replicates or probes.

    A column `setting` is equal for repetitions of one another.
    """
    settings = {run: digest(_without_repetition(content)) for run, content in contents.items()}
    largest_first = table.groupby("run")["run"].transform("count").sort_values(ascending=False, kind="stable")
    ordered = table.loc[largest_first.index].assign(setting=table["run"].map(settings))
    columns = [column for column in (*REPETITION, OUTPUT_DIM, "metric") if column in table]
    return ordered.drop_duplicates(["setting", *columns]).sort_index()


def _without_repetition(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in FREE and not key.startswith(PROBES)}
