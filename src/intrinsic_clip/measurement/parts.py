"""Read what belongs together row by row: x, its partners, and the labels of both; leave out what is not finite."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Labels, as_labels, check_same_index
from intrinsic_clip.dimension.table_columns import check_sides

LABEL = "label_"


def as_parts(
    tables: Mapping[str, Any],
    labels: Labels | Mapping[str, Labels] | None,
    as_matrix: Callable[[Any, str], Tensor],
) -> dict[str, Tensor]:
    """Return rows by name, and labels as `label_<set>`, on the device of x.

    Args:
        tables: x, and what belongs to its rows, by name; None stands for what is not there.
        labels: class numbers or names `(n,)`, which are called `label_class`, or several sets of them by name.
        as_matrix: makes a matrix of a table, given its name for messages.

    Raises:
        ValueError: they are no rows, differ in number, or are tables of another index.
    """
    sets = {} if labels is None else labels if isinstance(labels, Mapping) else {"class": labels}
    check_same_index({**tables, **_named(sets)})
    check_sides(tables.get("x"), tables.get("y"))
    parts = {name: as_matrix(rows, name) for name, rows in tables.items() if rows is not None}
    if "x" not in parts:
        raise ValueError("x is None: there is nothing to measure")
    parts |= {f"{LABEL}{name}": as_labels(values) for name, values in sets.items()}
    n, device = len(parts["x"]), parts["x"].device
    for name, tensor in parts.items():
        if len(tensor) != n:
            raise ValueError(f"x has {n:,} rows and {name} {len(tensor):,}: they must belong together")
    return {name: tensor.to(device) for name, tensor in parts.items()}


def _named(sets: Mapping[str, Labels]) -> dict[str, Labels]:
    """Return sets of labels by the words that a caller has for them."""
    return {"labels" if name == "class" else f"labels[{name!r}]": values for name, values in sets.items()}


def without_odd_rows(parts: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str | None]:
    """Return the rows that are finite on all sides, and a note on those that were left out, if any were.

    Where no row would be left, all stay, so that numbers have their reasons.
    """
    sides = {name: rows.isfinite().all(-1) for name, rows in parts.items() if name in ("x", "y")}
    usable = torch.stack([*sides.values()]).all(0)
    if bool(usable.all()) or not bool(usable.any()):
        return dict(parts), None
    n, left_out = len(usable), int((~usable).sum())
    if len(sides) == 1:
        note = f"{left_out:,} of {n:,} rows hold NaN or infinity and were left out of all numbers"
    else:
        counts = [f"{int((~rows).sum()):,} in {name}" for name, rows in sides.items() if not bool(rows.all())]
        held = f"hold NaN or infinity ({', '.join(counts)})"
        note = f"{left_out:,} of {n:,} pairs {held} and were left out of all numbers"
    return {name: rows[usable] for name, rows in parts.items()}, note
