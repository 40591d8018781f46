"""Read what belongs together row by row: x, its partners, and the labels of both."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from intrinsic_clip.dimension.arrays import Labels, as_labels, check_same_index

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
