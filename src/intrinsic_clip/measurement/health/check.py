"""Measure, judge the numbers by the rules of a file, and report the outcome."""

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
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
Export = Callable[[dict[str, Any], Inputs, Path], None]


def checked(settings: Mapping[str, Any], measure: Measure, export: Export) -> dict[str, Any]:
    """Measure embeddings, judge them, and export a projection where that is asked for and all rules are kept.

    Rows that are not finite are a rule that fails, and the other rules are judged without them; `nan=drop` permits
    such rows, unless the file has a rule about them.

    Args:
        settings: of the command; `check` names the file of rules.
        measure: measures by some settings; returns the measurement, the embeddings, and the folder of the results.
        export: exports by these three; called last, so that a broken check leaves an earlier projection alone.

    Returns:
        The measurement, and the outcome under `check`.

    Raises:
        ConfigError: the rules cannot be read, or the embeddings cannot be measured for another reason than rows that
            are not finite; nothing has been written then. Or nothing can be exported; the reports are written then.
        OSError: a file cannot be written.
    """
    started = time.perf_counter()
    path = Path(settings["check"])
    rules = read_rules(path)
    _check_outputs(settings)
    measurement, refusal, exported = _measured(settings, measure, export)
    outcomes = judged([*_implied(rules, settings, is_paired(measurement)), *rules], measurement, refusal)
    report = {
        "status": "ok" if all(each["ok"] for each in outcomes) else "failed",
        "rules": str(path),
        "measurement": measurement["results"],
        "outcomes": outcomes,
    }
    print("\n".join([f"\ncheck {path}: {check_summary(outcomes)}", *check_lines(outcomes)]), flush=True)
    _write_reports(settings, report, time.perf_counter() - started)
    if settings["export"] is not None and report["status"] == "failed":
        print("\nnot exported: the check failed", flush=True)
    elif settings["export"] is not None:
        exported()
    return {**measurement, "check": report}


def _write_reports(settings: Mapping[str, Any], report: Mapping[str, Any], seconds: float) -> None:
    if settings["check_junit"] is not None:
        content = junit_xml(report["outcomes"], report["rules"], seconds)
        atomic.write_atomically(Path(settings["check_junit"]), content)
    if settings["check_json"] is not None:
        text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
        atomic.write_atomically(Path(settings["check_json"]), f"{text}\n")


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


def _measured(
    settings: Mapping[str, Any], measure: Measure, export: Export
) -> tuple[dict[str, Any], str | None, Callable[[], None]]:
    """Return the measurement with facts about rows, why it has no other numbers, if so, and what exports it."""
    try:
        measured = measure(settings)
        return _with_facts(*measured), None, partial(export, *measured)
    except NonFiniteRows as error:
        counts = error.counts
    print("rows that are not finite are left out, and fail the check\n", flush=True)
    try:
        measured = measure({**settings, "nan": "drop"})
        return _with_facts(*measured), None, partial(export, *measured)
    except ConfigError as error:
        facts = {FINITE: counts}
        numbers: dict[str, Any] = {"rows": facts, "metrics": {}, "estimates": [], "dims": {}, "results": None}
        refusal = f"the other rows cannot be measured: {error}"
        return numbers, refusal, partial(_refuse_export, refusal)


def _refuse_export(refusal: str) -> None:
    raise ConfigError(f"export: {refusal}")


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
