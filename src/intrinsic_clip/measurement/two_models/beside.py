"""Measure a second model as the first was measured, and compare the two row by row."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.model import Model
from intrinsic_clip.measurement.two_models.compared import Compared, Rows, Stage, first_of_each
from intrinsic_clip.measurement.two_models.moved import Block
from intrinsic_clip.measurement.two_models.verdict import judged_by, verdict
from intrinsic_clip.metrics.alignment import directions

KEPT = ("n", "dims", "metrics", "estimates", "curves", "advice", "notes", "seconds")  # of the second model
BLOCK = 8192  # rows
FEWEST_OF_BOTH = 4  # rows
FEWEST = 200  # rows from which on overlap at chance is a sign
Watch = Callable[[Sequence[Stage]], Iterable[Stage]]


class Options(NamedTuple):
    """Settings of a comparison.

    Attributes:
        seed, max_points: as of the measurement.
        most: pairs, at most, that the measurement draws to fit directions and to try them.
        checked: a sentence on how the rows were found to be the same.
        ids: what names the rows of x, if anything does.
        own_y: the second model has a y of its own.
        watch: wraps the sequence of stages, to show progress.
    """

    seed: int
    max_points: int
    most: int
    checked: str
    ids: np.ndarray | None = None
    own_y: bool = False
    watch: Watch = iter


def beside(first: Model, second: Model, numbers: Mapping[str, Any], options: Options) -> dict[str, Any]:
    """Return the numbers of the second model with those of the comparison, as the record keeps them.

    Args:
        first, second: the embeddings of both models; their rows are the same.
        numbers: of the second model, as `measure_embeddings` returns them.
        options: of the comparison.

    Returns:
        `n`, `dims`, `metrics`, `estimates`, `curves`, `advice`, `notes`, `seconds`; and `compared`: rows compared `n`
        `of` those there are, `of_x` rows of x without repetition by pairs, `metrics`, `reasons`, `recalls`, `moved`,
        `distributions`, `notes`, `seconds`, and `verdict`.

    Raises:
        ConfigError: hardly any row is finite in both models.
    """
    both, order = _rows_of_both(first, second, options)
    chosen = order[: options.max_points].sort().values
    each_x = both[first_of_each(torch.unique(first.rows_of_x(both), return_inverse=True)[1])]
    rows = _rows(first, second, chosen)
    compared = Compared(
        rows.first,
        rows.second,
        first.rows_of_x(chosen),
        partial(_blocks, first, second, each_x),
        options.ids,
        rows.grouping,
        options.seed,
        drawn=partial(_rows, first, second, order[: options.most]),
        group_of=_groups_of(first, each_x),
    )
    compared.notes.append(options.checked)
    if len(chosen) < len(both):
        compared.notes.append(
            f"compared on {len(chosen):,} of {len(both):,} rows, drawn at random (max_points=…); those that moved most "
            "are of all rows"
        )
    seconds = _run(compared, options.watch)
    results: dict[str, Any] = {"n": len(chosen), "of": len(both), "of_x": len(each_x), "own_y": options.own_y}
    results |= {"distinct": len(compared.kept), "seconds": seconds}
    results |= {
        key: getattr(compared, key) for key in ("metrics", "reasons", "recalls", "moved", "distributions")
    }
    results["notes"] = [*compared.notes, *_doubts(compared, options.own_y)]
    return {**{key: numbers[key] for key in KEPT}, "compared": {**results, "verdict": verdict(results)}}


def with_second(numbers: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of the first model with those of `beside`, and with what is to be noted of them."""
    notes = [*second["notes"], *second["compared"]["notes"]]
    further = [f"against: {note}" for note in notes if note not in numbers["notes"]]
    return {**numbers, "notes": [*numbers["notes"], *further], "against": dict(second)}


def _run(compared: Compared, watch: Watch) -> dict[str, float]:
    """Run the stages, and return the seconds that each took."""
    seconds = {}
    for label, work in watch(compared.stages()):
        started = time.perf_counter()
        work()
        seconds[label] = time.perf_counter() - started
    return seconds


def _rows_of_both(first: Model, second: Model, options: Options) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the numbers of the rows that are usable in both models, ascending and in the order of the measurement.

    Whatever is drawn is the beginning of the latter, so that the rows compared and the pairs held out are those of
    the numbers beside them.
    """
    usable = torch.zeros(2, first.total, dtype=torch.bool)
    for place, model in enumerate((first, second)):
        usable[place, model.usable_numbers()] = True
    both = usable.all(0)
    order = first.drawn(options.seed)
    order = order[both[order]]
    if len(order) < FEWEST_OF_BOTH:
        raise ConfigError(f"against: only {len(order):,} rows are finite in both models")
    return both.nonzero().squeeze(-1), order


def _rows(first: Model, second: Model, numbers: torch.Tensor) -> Rows:
    """Return the rows of both models that have these numbers, on the CPU."""
    one, other = (
        {side: rows.cpu() for side, rows in model.rows(numbers).items()} for model in (first, second)
    )
    return Rows(one, other, first.grouping_of(numbers))


def _blocks(first: Model, second: Model, numbers: torch.Tensor) -> Iterator[Block]:
    """Yield the numbers of rows of x and their directions in both models, block by block."""
    for part in numbers.split(BLOCK):
        x, other = (directions(model.rows(part)["x"].cpu()) for model in (first, second))
        yield first.rows_of_x(part), x, other


def _groups_of(first: Model, each_x: torch.Tensor) -> Callable[[int], int] | None:
    """Return what gives the group of a row of x by its number; None where rows come in no groups.

    Args:
        first: the model whose groups they are.
        each_x: numbers of pairs, one for each row of x.
    """
    groups, rows = first.grouping_of(each_x).groups, first.rows_of_x(each_x)
    return None if groups is None else lambda row: int(groups[rows == row][0])


def _doubts(compared: Compared, own_y: bool) -> list[str]:
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
    judged = judged_by(compared.recalls, own_y)
    by_cosine = any(each["by"] == "cosine" for each in compared.recalls)
    if judged is not None and judged["by"] == "canonical" and by_cosine:
        remedy = "" if own_y else "; against_y=… gives the second model's own y"
        doubts.append(
            "one of the models finds partners by cosine no better than by guessing, so the verdict is along canonical "
            f"directions, which need no common space{remedy}"
        )
    return doubts
