"""Format the first line of a sweep and the table at its end."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from intrinsic_clip.runs.versions import other_code
from intrinsic_clip.runs.vocabulary import MAIN_NUMBERS, describe, main_numbers
from intrinsic_clip.sweeps.names import Names
from intrinsic_clip.sweeps.sweep_run import STATUSES, Outcome, SweepRun

FEW = 40  # runs; a larger sweep lists only the failed ones
WIDTH = 10  # characters of a column of numbers
OF_FEWER = "*"  # behind a mean that is not of all replicates


def announce(runs: Sequence[SweepRun]) -> str:
    """Return the numbers of runs that are finished, to resume and to begin."""
    finished = sum(run.finished_before for run in runs)
    begun = sum(run.begun_before and not run.finished_before for run in runs)
    new = len(runs) - finished - begun
    return f"{_count(len(runs))}: {finished} finished, {begun} to resume, {new} to begin"


def report(runs: Sequence[SweepRun], interrupted: bool = False) -> tuple[str, bool]:
    """Return the table at the end of a sweep, and whether a run failed."""
    outcomes = [run.outcome(interrupted) for run in runs]
    counts = Counter(outcome.status for outcome in outcomes)
    names = Names([run.overrides for run in runs])
    lines = [
        _line(run, outcome, names)
        for run, outcome in zip(runs, outcomes, strict=True)
        if len(runs) <= FEW or outcome.status == "failed"
    ]
    summary = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    heading = ("", "", _columns(MAIN_NUMBERS), "")
    table = _aligned([heading, *lines]) if lines else []
    with_numbers = [outcome for outcome in outcomes if outcome.results and len(runs) <= FEW]
    if any(_has_several_dims(outcome.results or {}) for outcome in with_numbers):
        table.append("  of a run with several output dimensions, the numbers at the last")
    if any(line[2].count(OF_FEWER) for line in lines if line[0] != "failed"):
        table.append(f"  {OF_FEWER} the mean of some of a run's replicates: the others have no number")
    table += _matchings(with_numbers)
    table += _of_other_code(outcomes)
    return "\n".join([*table, f"{_count(len(runs))}: {summary}"]), counts["failed"] > 0


def _of_other_code(outcomes: Iterable[Outcome]) -> list[str]:
    """Return a line for each other state of the code that skipped runs were made with."""
    skipped = [outcome.results or {} for outcome in outcomes if outcome.status == "skipped"]
    made = Counter(json.dumps(results.get("versions") or {}, sort_keys=True) for results in skipped)
    codes: Counter[str] = Counter()
    for recorded, count in made.items():
        code = other_code(json.loads(recorded))
        if code is not None:
            codes[code] += count
    return [f"  skipped, {code}: {_count(count)}" for code, count in codes.items()]


def _matchings(outcomes: Iterable[Outcome]) -> list[str]:
    """Return a line with what the column `matching` counts, which depends on the probe and may differ between runs."""
    found = [main_numbers((outcome.results or {})["metrics"])["matching"] for outcome in outcomes]
    titles = [describe(name).full_title for name in dict.fromkeys(found) if name]
    lead = "matching" if len(titles) < 2 else "matching is not the same in all runs"
    return [f"  {lead}: {'; '.join(titles)}"] if titles else []


def _count(runs: int) -> str:
    return f"{runs} run" + "s" * (runs != 1)


def _line(run: SweepRun, outcome: Outcome, names: Names) -> tuple[str, str, str, str]:
    """Return status, the overrides that distinguish the run, numbers or the reason, and folder."""
    middle = outcome.reason if outcome.results is None else _columns(_numbers(outcome.results))
    return outcome.status, names.of(run.overrides), middle, str(run.folder)


def _has_several_dims(run_results: Mapping[str, Any]) -> bool:
    """Return whether a run has trainings of several output dimensions side by side, with a mean for each."""
    return any(isinstance(summary.get("mean"), list) for summary in run_results["metrics"].values())


def _numbers(run_results: Mapping[str, Any]) -> list[str]:
    """Return the means of the main numbers, at the last of several d, an en dash where one was not measured."""
    metrics = run_results["metrics"]
    return [_number(metrics[name]) if name else "–" for name in main_numbers(metrics).values()]


def _number(summary: Mapping[str, Any]) -> str:
    """Return a mean, at the last of several d, marked where some replicates have no number."""
    mean, values = summary.get("mean"), summary.get("values")
    if isinstance(mean, list):
        mean, values = mean[-1], values[-1] if values else None
    if not isinstance(mean, int | float):
        return "–"
    return f"{mean:.3g}" + OF_FEWER * (None in (values or ()))


def _columns(cells: Iterable[str]) -> str:
    return "".join(f"{cell:>{WIDTH}}" for cell in cells)


def _aligned(lines: Sequence[tuple[str, str, str, str]]) -> list[str]:
    """Return the lines in columns; a reason may be wider than the numbers whose place it takes."""
    status_width, name_width = (max(len(line[i]) for line in lines) for i in (0, 1))
    return [
        f"  {status:<{status_width}}  {name:<{name_width}}  {middle:<{WIDTH * len(MAIN_NUMBERS)}}  {folder}".rstrip()
        for status, name, middle, folder in lines
    ]
