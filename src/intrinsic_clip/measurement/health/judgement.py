"""Judge the numbers of a measurement by rules; a number that does not exist keeps none."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from intrinsic_clip.measurement.health.rule_names import AGAINST, numbers_of
from intrinsic_clip.measurement.health.rules import Rule

OF_PAIRS = ("retrieval", "alignment", "modality_gap", "distribution_gap", "sufficient_dimension")


def judged(
    rules: Sequence[Rule], measurement: Mapping[str, Any], refusal: str | None = None
) -> list[dict[str, Any]]:
    """Return the outcome of each rule for each number that it is about.

    Args:
        rules: to judge by.
        measurement: the numbers, with those of rows under `rows`.
        refusal: why there are no others, where the embeddings could not be measured.

    Returns:
        `rule`, `number`, `value`, `standard_error`, `limit`, `ok`, and `reason`, which says why there is no value.
    """
    numbers = _numbers(measurement)
    paired = is_paired(measurement)
    outcomes = []
    for rule in rules:
        for name in numbers_of(rule.name, paired):
            value = numbers.get(name)
            known = value is not None and math.isfinite(value)
            reason = None if known else refusal or _reason(name, measurement, paired)
            outcomes.append(
                {
                    "rule": rule.name,
                    "number": name,
                    "value": value if known else None,
                    "standard_error": numbers.get(_error_name(name)),
                    "limit": rule.limit,
                    "ok": value is not None and known and rule.keeps(value),
                    "reason": reason,
                }
            )
    return outcomes


def is_paired(measurement: Mapping[str, Any]) -> bool:
    """Return whether a measurement is of x and y."""
    return "y" in measurement["dims"] or "y" in measurement["rows"].get("nonfinite_rows", {})


def _numbers(measurement: Mapping[str, Any]) -> dict[str, float | None]:
    """Return all numbers by name."""
    numbers: dict[str, float | None] = dict(measurement["metrics"])
    for name, by_side in measurement["rows"].items():
        numbers |= {f"{name}/{side}": value for side, value in by_side.items()}
    numbers |= {f"dims/{side}": d for side, d in measurement["dims"].items()}
    if "n" in measurement:
        numbers["rows"] = measurement["n"]
    second = measurement.get("against")
    if second is not None:
        numbers |= {f"{AGAINST}{name}": value for name, value in _numbers(second).items()}
        numbers |= {f"{AGAINST}{name}": value for name, value in second["compared"]["metrics"].items()}
    return numbers


def _error_name(name: str) -> str:
    """Return the name of a number's standard error."""
    prefix = AGAINST if name.startswith(AGAINST) else ""
    kind, slash, parts = name.removeprefix(prefix).partition("/")
    return f"{prefix}{kind}_standard_error{slash}{parts}"


def _reason(name: str, measurement: Mapping[str, Any], paired: bool) -> str:
    """Return why a number does not exist."""
    if name.startswith(AGAINST):
        second = measurement.get("against")
        if second is None:
            return "there is no second model (against=…)"
        own = name.removeprefix(AGAINST)
        compared = second["compared"]
        if own in compared["reasons"]:
            return str(compared["reasons"][own])
        return _reason(own, second, "y" in second["dims"])
    for row in measurement["estimates"]:
        if f"{row['name']}/{row['side']}" == name and row["reason"]:
            return str(row["reason"])
    kind, _, parts = name.partition("/")
    if not paired and (kind in OF_PAIRS or parts.rpartition("/")[2] == "y"):
        return "there is no y"
    dims = measurement["dims"]
    if kind in OF_PAIRS and dims.get("x") != dims.get("y"):
        return f"x has {dims.get('x'):,} columns and y {dims.get('y'):,}, so there are no cosines"
    if kind == "id":
        return "estimators=… does not list it"
    return "the measurement has no such number"
