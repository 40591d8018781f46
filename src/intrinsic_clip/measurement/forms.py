"""Record how forms of stored rows compare on held-out rows: fewer coordinates of several kinds, and quantised ones."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from intrinsic_clip.measurement.groups import UNGROUPED, Grouping
from intrinsic_clip.measurement.record import Record, number
from intrinsic_clip.metrics.form_comparison import FormNumbers, compare_forms
from intrinsic_clip.reports.form_tables import within_error

HELD_OUT = 3000  # rows, at most, that forms are compared on
FEWEST = 40  # rows: with fewer, ten neighbours are most of the held-out half
PARTS = ("value", "standard_error", "difference", "difference_error")


def measure_forms(
    record: Record,
    x: Tensor,
    y: Tensor | None,
    dims: Sequence[int],
    seed: int,
    grouping: Grouping = UNGROUPED,
) -> None:
    """Record all forms as `record.forms`: `full`, `rows`, and `cheapest`, by the one-standard-error rule.

    Args:
        record: receives the numbers.
        x, y: rows in the order in which they were drawn; y of another width, or None: x alone is compared.
        dims: numbers of dimensions to add to d, d/2, d/4, ….
        seed: of the choice of held-out rows and of random coordinates.
        grouping: of these rows.
    """
    if len(x) < FEWEST or x.shape[1] < 2:
        return
    alone = y is None or y.shape[1] != x.shape[1]
    comparison = compare_forms(
        x,
        None if y is None or alone else y,
        pairing=None if y is None or alone else grouping.pairing(x, y),
        labels=grouping.labels,
        dims=[m for m in dims if m < x.shape[1]],
        max_rows=HELD_OUT,
        seed=seed,
    )
    rows = [_as_dict(form) for form in comparison.forms]
    deciding = next(iter(comparison.full.numbers)) if not alone else None
    record.forms = {
        "side": "x" if alone else "pairs",
        "n": comparison.n,
        "fitted": comparison.fitted,
        "full": _as_dict(comparison.full),
        "rows": rows,
        "decided_by": deciding,
        "cheapest": None if deciding is None else cheapest(rows, comparison.full.bytes, deciding),
    }


def cheapest(rows: Sequence[dict[str, Any]], full_bytes: int, by: str) -> dict[str, Any] | None:
    """Return the form of the fewest bytes whose number is within one standard error of that of the full rows.

    Args:
        rows: of the record.
        full_bytes: of a full row; only smaller ones count.
        by: name of the number.
    """
    enough = [row for row in rows if row["bytes"] < full_bytes and within_error(row[by])]
    return min(enough, key=lambda row: (row["bytes"], -row[by]["value"]), default=None)


def _as_dict(form: FormNumbers) -> dict[str, Any]:
    """Return a form as plain values: `form`, `dims`, `bytes`, and each number with its errors by name."""
    numbers = {
        name: {part: number(getattr(compared, part)) for part in PARTS}
        for name, compared in form.numbers.items()
    }
    return {"form": form.name, "dims": form.dims, "bytes": form.bytes, **numbers}
