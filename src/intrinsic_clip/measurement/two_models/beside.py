"""Measure a second model as the first was measured, and compare the two row by row."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.health.row_facts import row_facts
from intrinsic_clip.measurement.inputs import Inputs
from intrinsic_clip.measurement.two_models.compared import Compared, Stage
from intrinsic_clip.measurement.two_models.moved import Block
from intrinsic_clip.measurement.two_models.second import Second, rows_at, rows_in_source, usable_rows
from intrinsic_clip.measurement.two_models.verdict import judged_by, verdict
from intrinsic_clip.metrics.alignment import directions

KEPT = ("n", "dims", "metrics", "estimates", "curves", "advice", "notes", "seconds")  # of the second model
BLOCK = 8192  # rows
FEWEST_OF_BOTH = 4  # rows
FEWEST = 200  # rows from which on overlap at chance is a sign
Watch = Callable[[Sequence[Stage]], Iterable[Stage]]


def beside(first: Inputs, second: Second, numbers: dict[str, Any], watch: Watch = iter) -> dict[str, Any]:
    """Return the numbers of the second model with those of the comparison, as the record keeps them.

    Args:
        first, second: the embeddings of both models; their rows are the same.
        numbers: of the second model, as `measure_embeddings` returns them.
        watch: wraps the sequence of stages, to show progress.

    Returns:
        `n`, `dims`, `metrics`, `estimates`, `curves`, `advice`, `notes`, `seconds`; and `compared`: rows compared `n`
        `of` those there are, `metrics`, `reasons`, `recalls`, `moved`, `distributions`, `notes`, `seconds`, and
        `verdict`.

    Raises:
        ConfigError: hardly any row is finite in both models.
    """
    both, chosen = _rows_of_both(first, second.inputs)
    compared = Compared(
        rows_at(first, chosen),
        rows_at(second.inputs, chosen),
        chosen,
        partial(_blocks, first, second.inputs, both),
        second.ids,
        first.settings["seed"],
    )
    compared.notes.append(second.checked)
    if len(chosen) < len(both):
        compared.notes.append(
            f"compared on {len(chosen):,} of {len(both):,} rows, drawn at random (max_points=…); those that moved most "
            "are of all rows"
        )
    seconds = _run(compared, watch)
    model = {key: numbers[key] for key in KEPT}
    if first.settings["check"] is not None:
        model["rows"] = row_facts(second.inputs)
    results = {"n": len(chosen), "of": len(both), "distinct": len(compared.kept), "seconds": seconds}
    results |= {
        key: getattr(compared, key) for key in ("metrics", "reasons", "recalls", "moved", "distributions")
    }
    results["notes"] = [*compared.notes, *_doubts(compared, first.settings)]
    return {**model, "compared": {**results, "verdict": verdict(results)}}


def _run(compared: Compared, watch: Watch) -> dict[str, float]:
    """Run the stages, and return the seconds that each took."""
    seconds = {}
    for label, work in watch(compared.stages()):
        started = time.perf_counter()
        work()
        seconds[label] = time.perf_counter() - started
    return seconds


def _rows_of_both(first: Inputs, second: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the numbers of the rows that are usable in both models, and of those to compare, both ascending.

    The latter are the first of the order in which the measurement draws its sample.
    """
    total = rows_in_source(first)
    usable = torch.zeros(2, total, dtype=torch.bool)
    for place, inputs in enumerate((first, second)):
        usable[place, usable_rows(inputs)] = True
    both = usable.all(0)
    order = torch.randperm(total, generator=torch.Generator().manual_seed(first.settings["seed"]))
    chosen = order[both[order]][: first.settings["max_points"]]
    if len(chosen) < FEWEST_OF_BOTH:
        raise ConfigError(f"against: only {len(chosen):,} rows are finite in both models")
    return both.nonzero().squeeze(-1), chosen.sort().values


def _blocks(first: Inputs, second: Inputs, numbers: torch.Tensor) -> Iterator[Block]:
    """Yield the directions of x in both models, block by block."""
    for part in numbers.split(BLOCK):
        yield part, directions(rows_at(first, part)["x"]), directions(rows_at(second, part)["x"])


def _doubts(compared: Compared, settings: Mapping[str, Any]) -> list[str]:
    """Return signs that the two are not what they are taken for, a sentence each."""
    doubts = []
    one, other = compared.first["x"], compared.second["x"]
    if one.shape == other.shape and torch.equal(one.double(), other.double()):
        doubts.append("x and against hold the same numbers: is one model given twice?")
    overlap, chance = (compared.metrics.get(f"{name}/top_10") for name in ("overlap", "overlap_chance"))
    error = compared.metrics.get("overlap_standard_error/top_10") or 0.0
    if (
        overlap is not None
        and chance is not None
        and len(compared.kept) >= FEWEST
        and overlap < chance + 4 * error
    ):
        doubts.append(
            "neighbours agree no better than by chance: is row i of x the same thing as row i of against?"
        )
    judged = judged_by(compared.recalls)
    by_cosine = any(each["by"] == "cosine" for each in compared.recalls)
    if judged is not None and judged["by"] == "canonical" and by_cosine:
        remedy = "" if settings["against_y"] else "; against_y=… gives the second model's own y"
        doubts.append(
            "one of the models finds partners by cosine no better than by guessing, so the verdict is along canonical "
            f"directions, which need no common space{remedy}"
        )
    return doubts
