"""Record how forms of stored rows compare on held-out rows: fewer coordinates of several kinds, and quantised ones.

Pairs of unequal widths have no coordinates in common but canonical ones, so that theirs are compared along these alone,
and all forms of x are compared beside them by the neighbours that they keep among x.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.measurement.record import Record, number
from intrinsic_clip.metrics.form_comparison import FormNumbers, compare_forms
from intrinsic_clip.metrics.pairing import Pairing
from intrinsic_clip.reports.form_tables import is_by_chance, within_error

HELD_OUT = 3000  # rows, at most, that forms are compared on
FEWEST = 40  # rows: with fewer, ten neighbours are most of the held-out half
NEIGHBOURS_TIE = (
    "x: forms of stored rows are not compared by the neighbours that they keep: of {rows}, any ten equal ones are the "
    "nearest"
)
PARTS = ("value", "standard_error", "difference", "difference_error")


def measure_forms(
    record: Record,
    x: Tensor,
    y: Tensor | None,
    dims: Sequence[int],
    seed: int,
    pairing: Pairing | None = None,
    labels: Tensor | None = None,
) -> None:
    """Record all forms as `record.forms`: `full`, `rows`, and `cheapest`, by the one-standard-error rule.

    None is the cheapest where the full rows do no better than guessing: any form does that.

    Forms of x alone are `record.forms["alone"]` where those of pairs were recorded before. They are not compared where
    few rows are distinct, which is a note: neighbours that tie are no neighbours to keep.

    Args:
        record: receives the numbers.
        x, y: rows in the order in which they were drawn; y None: x alone is compared.
        dims: numbers of dimensions to add to d, d/2, d/4, ….
        seed: of the choice of held-out rows and of random coordinates.
        pairing: which rows belong together; None: row i of x and row i of y.
        labels: classes of the rows, int64 `(n,)`.
    """
    width = x.shape[1] if y is None else min(x.shape[1], y.shape[1])
    if len(x) < FEWEST or width < 2:
        return
    if y is None and (distinct := len(torch.unique(x, dim=0))) < FEWEST:
        record.notes.append(NEIGHBOURS_TIE.format(rows=f"{distinct:,} distinct row{'s' * (distinct != 1)}"))
        return
    comparison = compare_forms(
        x,
        y,
        pairing=pairing,
        labels=labels,
        dims=[m for m in dims if m < width],
        max_rows=HELD_OUT,
        seed=seed,
    )
    rows = [_as_dict(form) for form in comparison.forms]
    deciding = next(iter(comparison.full.numbers)) if y is not None else None
    full = _as_dict(comparison.full)
    fewest = None
    if deciding is not None and not is_by_chance(full[deciding], comparison.chance[deciding]):
        fewest = cheapest(rows, comparison.full.bytes, deciding)
    forms = {
        "side": "x" if y is None else "pairs",
        "along": "canonical" if y is not None and y.shape[1] != x.shape[1] else None,
        "n": comparison.n,
        "n_x": comparison.n_x,
        "fitted": comparison.fitted,
        "full": full,
        "chance": comparison.chance,
        "rows": rows,
        "decided_by": deciding,
        "cheapest": fewest,
    }
    record.forms |= {"alone": forms} if record.forms else forms


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
