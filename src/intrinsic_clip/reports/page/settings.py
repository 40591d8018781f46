"""Find the settings that differ between the trainings of a sweep, and group repetitions of the same settings."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intrinsic_clip.runs.addresses import content_of, without_places
from intrinsic_clip.runs.run import Run
from intrinsic_clip.runs.tidy_table import flatten

REPETITION = ("seed", "replicates")  # may differ between repetitions
WHEN = ("every_n_epochs", "every_n_steps")  # change no number
TARGET = "_target_"
INFONCE = "InfoNCE"  # of the earliest runs, whose settings name no class
PROBES = "probes."
D = "encoder.output_dim"
FIRST = (D, "data.shared_dim", "data.noise")  # leading axes of a sweep


@dataclass(frozen=True)
class Training:
    """A training of a run: a repetition at an output dimension.

    Attributes:
        run: the run's folder.
        place: index among the run's trainings, in the order of the flattened axes R.
        repetition: seed and index of the replicate, which determine all random draws.
        settings: all settings that can change its numbers, as `encoder.output_dim` …
    """

    run: Path
    place: int
    repetition: tuple[int, int]
    settings: Mapping[str, Any]


def trainings_of(run: Run) -> list[Training]:
    """Return the trainings of a run, in the order of the values in its results."""
    settings, seed = flatten(_content_of(run.settings)), run.settings["seed"]
    return [
        Training(run.folder, place, (seed, index or 0), settings if d is None else settings | {D: d})
        for place, (d, index) in enumerate(run.replicates.labels())
    ]


def _content_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that can change the numbers, the objective by its name and with its class.

    In addresses it is the `loss` of earlier runs, of which InfoNCE has no class: beside others it would be a dash.
    """
    content = content_of(settings)
    objective = {"_target_": settings["objective"].get("_target_", INFONCE), **content.pop("loss")}
    return content | {"objective": without_places(objective)}


def differing(trainings: Sequence[Training]) -> list[str]:
    """Return the settings in which trainings differ that are not repetitions, output dimension first.

    Left out are copies (`data.seed` of `seed`), which probes measure and when, names that follow from other settings,
    and settings that a choice implies: a temperature fixed at 0.1 or learned differs in `Fixed` and `Learned` alone.
    """
    keys = {key for training in trainings for key in training.settings}
    columns = {key: [_hashable(training.settings.get(key)) for training in trainings] for key in keys}
    varying = [key for key in sorted(keys, key=_rank) if len(set(columns[key])) > 1]
    kept = [key for key in REPETITION if key in columns]
    for key in varying:
        copies = any(_word(k) == _word(key) != TARGET and columns[k] == columns[key] for k in kept)
        target = columns.get(_chooser(key))
        everywhere = all(key in training.settings for training in trainings)
        implied = target is not None and not everywhere and _determined(columns[key], target)
        measures = _word(key) in WHEN or (key.startswith(PROBES) and _word(key) == TARGET)
        if key not in REPETITION and not measures and not copies and not implied:
            kept.append(key)
    keys_apart = [key for key in kept if key not in REPETITION]
    others = [key for key in keys_apart if key != "name"]
    together = list(zip(*(columns[key] for key in others), strict=True))
    is_implied = together and "name" in keys_apart and _determined(columns["name"], together)
    return others if is_implied else keys_apart


def grouped(trainings: Sequence[Training], keys: Sequence[str]) -> list[list[Training]]:
    """Group repetitions of the same settings, in the order of these; a repetition that occurs twice counts once.

    It is there twice only where all settings that change numbers are the same, not just those that name the group.
    """
    groups: dict[tuple[str, ...], dict[tuple[tuple[int, int], str], Training]] = {}
    for training in sorted(trainings, key=lambda t: [_sortable(t.settings.get(key)) for key in keys]):
        values = tuple(_hashable(training.settings.get(key)) for key in keys)
        groups.setdefault(values, {}).setdefault((training.repetition, _content(training)), training)
    return [[group[identity] for identity in sorted(group)] for group in groups.values()]


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return each setting's name in tables: its last word, if no other setting has the same."""
    words = {key: key.removesuffix(f".{TARGET}").rpartition(".")[2] for key in keys}
    names = list(words.values())
    return {
        key: "d" if key == D else word if names.count(word) == 1 else key.removesuffix(f".{TARGET}")
        for key, word in words.items()
    }


def shown(key: str, value: Any) -> Any:
    """Return a value as tables show it: of `FixedTemperature` under objective.temperature only `Fixed`."""
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    if not key.endswith(TARGET) or value is None:
        return value
    node = key.removesuffix(f".{TARGET}").rpartition(".")[2].capitalize()
    name = str(value).rpartition(".")[2]
    return name.removesuffix(node) or name


def axes(groups: Sequence[Sequence[Training]], keys: Sequence[str]) -> list[str]:
    """Return the settings that are numbers everywhere: a sweep's curves can be drawn over them."""
    return [key for key in keys if all(_is_number(group[0].settings.get(key)) for group in groups)]


def _rank(key: str) -> tuple[int, bool, str]:
    return (FIRST.index(key) if key in FIRST else len(FIRST)), not key.endswith(TARGET), key


def _chooser(key: str) -> str:
    """Return the `_target_` that decides whether there is such a setting: for a class, that of the node around it."""
    node = key.rpartition(".")[0]
    if _word(key) == TARGET:  # its own column would always imply it
        node = node.rpartition(".")[0]
    return f"{node}.{TARGET}" if node else TARGET


def _content(training: Training) -> str:
    """Return all settings that change a training beside the repetition; a name and probes do not."""
    left_out = {*REPETITION, "name"}
    settings = training.settings.items()
    return _hashable({k: v for k, v in settings if _word(k) not in left_out and not k.startswith(PROBES)})


def _word(key: str) -> str:
    return key.rpartition(".")[2]


def _determined(column: Sequence[Any], by: Sequence[Any]) -> bool:
    """Return whether equal values of `by` always come with equal values of the column."""
    pairs = set(zip(by, column, strict=True))
    return len(pairs) == len(set(by))


def _hashable(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _sortable(value: Any) -> tuple[int, float, str]:
    return (0, float(value), "") if _is_number(value) else (1, 0.0, str(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
