"""Measure, judge the numbers by the rules of a file, and report the outcome."""

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from intrinsic_clip.config.paths import check_writable
from intrinsic_clip.errors import ConfigError, NonFiniteRows
from intrinsic_clip.measurement.health.judgement import is_paired, judged
from intrinsic_clip.measurement.health.row_facts import row_facts
from intrinsic_clip.measurement.health.rule_names import AGAINST, numbers_of
from intrinsic_clip.measurement.health.rules import FINITE, NONE_NONFINITE, Rule, read_rules
from intrinsic_clip.measurement.inputs import Inputs
from intrinsic_clip.measurement.two_models.second import open_second
from intrinsic_clip.reports.check_report import check_lines, check_summary, junit_xml
from intrinsic_clip.runs import atomic

WRITTEN = ("check_junit", "check_json")
Measure = Callable[[Mapping[str, Any]], tuple[dict[str, Any], Inputs, Path]]


def checked(settings: Mapping[str, Any], measure: Measure) -> dict[str, Any]:
    """Measure embeddings and judge them.

    Rows that are not finite are a rule that fails, and the other rules are judged without them; `nan=drop` permits
    such rows, unless the file has a rule about them.

    Args:
        settings: of the command; `check` names the file of rules.
        measure: measures by some settings; returns the measurement, the embeddings, and the folder of the results.

    Returns:
        The measurement, and the outcome under `check`.

    Raises:
        ConfigError: the rules cannot be read, or the embeddings cannot be measured for another reason than rows that
            are not finite; nothing has been written then.
        OSError: a file cannot be written.
    """
    started = time.perf_counter()
    path = Path(settings["check"])
    rules = read_rules(path)
    _check_outputs(settings)
    measurement, refusal = _measured(settings, measure)
    outcomes = judged([*_implied(rules, settings, is_paired(measurement)), *rules], measurement, refusal)
    report = {
        "status": "ok" if all(each["ok"] for each in outcomes) else "failed",
        "rules": str(path),
        "measurement": measurement["results"],
        "outcomes": outcomes,
    }
    print("\n".join([f"\ncheck {path}: {check_summary(outcomes)}", *check_lines(outcomes)]), flush=True)
    if settings["check_junit"] is not None:
        seconds = time.perf_counter() - started
        atomic.write_atomically(Path(settings["check_junit"]), junit_xml(outcomes, str(path), seconds))
    if settings["check_json"] is not None:
        text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
        atomic.write_atomically(Path(settings["check_json"]), f"{text}\n")
    return {**measurement, "check": report}


def _implied(rules: Sequence[Rule], settings: Mapping[str, Any], paired: bool) -> list[Rule]:
    """Return the rules that a check has where the file has none: no row may hold NaN, unless such are dropped.

    A side is left out where a rule of the file limits its rows from above; a rule with `min` alone limits nothing.
    """
    if settings["nan"] == "drop":
        return []
    limited = {name for rule in rules if math.isfinite(rule.high) for name in numbers_of(rule.name, paired)}
    implied = []
    for model in ("", AGAINST) if settings["against"] is not None else ("",):
        every = numbers_of(f"{model}{FINITE}", paired)
        unlimited = [name for name in every if name not in limited]
        implied += [f"{model}{FINITE}"] if unlimited == every else unlimited
    return [replace(NONE_NONFINITE, name=name) for name in implied]


def _measured(settings: Mapping[str, Any], measure: Measure) -> tuple[dict[str, Any], str | None]:
    """Return the measurement with facts about rows, and why it has no other numbers, if so."""
    try:
        return _with_facts(*measure(settings)), None
    except NonFiniteRows as error:
        counts = error.counts
    print("rows that are not finite are left out, and fail the check\n", flush=True)
    try:
        return _with_facts(*measure({**settings, "nan": "drop"})), None
    except ConfigError as error:
        facts = {FINITE: counts}
        numbers: dict[str, Any] = {"rows": facts, "metrics": {}, "estimates": [], "dims": {}, "results": None}
        return numbers, f"the other rows cannot be measured: {error}"


def _with_facts(measurement: dict[str, Any], inputs: Inputs, folder: Path) -> dict[str, Any]:
    from intrinsic_clip.reports.measurement_printout import RESULTS

    facts = measurement.get("rows") or row_facts(inputs)
    second = measurement.get("against")
    if second is not None and "rows" not in second:
        second = {**second, "rows": row_facts(open_second(inputs).inputs)}
    return {**measurement, "rows": facts, "against": second, "results": str(folder / RESULTS)}


def _check_outputs(settings: Mapping[str, Any]) -> None:
    """Check, before anything is measured, that the reports can be written and replace no input."""
    inputs = {
        key: settings[key]
        for key in ("check", "x", "y", "against", "against_y")
        if settings.get(key) is not None
    }
    for key in WRITTEN:
        if settings[key] is None:
            continue
        path = Path(settings[key])
        for other, value in inputs.items():
            if os.path.realpath(path) == os.path.realpath(value):
                raise ConfigError(f"{key}={path}: is {other}, which would be lost; name another file")
        if path.is_dir() or not path.parent.is_dir():
            raise ConfigError(
                f"{key}={path}: {'is a folder' if path.is_dir() else f'there is no folder {path.parent}'}"
            )
        check_writable(path.parent)
    if settings["check_junit"] is not None and settings["check_junit"] == settings["check_json"]:
        raise ConfigError("check_junit and check_json: must be two files")
