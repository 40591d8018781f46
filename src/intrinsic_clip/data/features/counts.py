"""Decide whether a matrix holds counts of molecules, from its values and from what the file says of itself."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.errors import ConfigError

ROUNDING = 1e-3  # a float that is so close to a whole number is one
ALL_ALIKE = 0.02  # relative spread of the cells' sums, below which they were made equal
BLOCK = 1024  # rows
ENOUGH = 10  # cells, to say that all are alike
SAMPLE = 1_000_000  # values
OTHERWISE = "data.given=components takes components that are preprocessed already"


def require_counts(source: str, counts: Tensor, elsewhere: str = "") -> list[str]:
    """Round counts `(n, features)` in place, which changes floats that are nearly whole, and return remarks on them.

    Args:
        source: the setting and the file, for the message.
        counts: one row per cell.
        elsewhere: where the file holds counts instead, for the message; empty: nowhere.

    Raises:
        ConfigError: they hold NaN, numbers below 0, or fractions.
    """
    hint = f"{elsewhere}; {OTHERWISE}" if elsewhere else OTHERWISE
    number, positive, example = 0, 0, 0.0
    for rows in counts.split(BLOCK):  # a few at a time, since all take gigabytes
        if not bool(torch.isfinite(rows).all()) or bool((rows < 0).any()):
            raise ConfigError(f"{source} holds NaN or numbers below 0, so these are no counts; {hint}")
        fractions = (rows - rows.round()).abs() > ROUNDING
        example = example or float(rows[fractions][:1].sum())
        number, positive = number + int(fractions.sum()), positive + int((rows > 0).sum())
    if number:
        raise ConfigError(
            f"{source} holds fractions ({100 * number / positive:.0f} % of the values other than 0, for instance "
            f"{example:.4g}), so these are no counts but normalised, logged or corrected; {hint}"
        )
    counts.round_()
    return _remarks(counts)


def _remarks(counts: Tensor) -> list[str]:
    sums = counts.sum(1, dtype=torch.float64)
    if len(sums) >= ENOUGH and counts.shape[1] > 1 and float(sums.max()) > 0:
        spread = float((sums.max() - sums.min()) / sums.max())
        if spread < ALL_ALIKE:
            return [
                f"whole numbers that sum to about {float(sums[0]):,.0f} in every cell, so they were rounded after "
                "normalising, or drawn down to one depth; they are taken as counts"
            ]
    if float(counts.max()) <= 1:
        return ["no number above 1, so the counts were made binary"]
    return []


def holds_counts(matrix: Any) -> bool:
    """Return whether a dense or sparse matrix holds whole numbers from 0 on, some of them above 0."""
    values = np.asarray(matrix.data if hasattr(matrix, "toarray") else matrix).reshape(-1)[:SAMPLE]
    if values.dtype.kind not in "fiu" or not len(values):
        return False
    return bool(
        np.isfinite(values).all()
        and (values >= 0).all()
        and (np.abs(values - np.round(values)) <= ROUNDING).all()
        and values.max() > 0
    )


def places_of_counts(layers: Mapping[str, Any], raw: Any) -> str:
    """Return where an AnnData holds counts besides X, as a hint: `layers['counts'] holds counts: data.layer=counts`."""
    names = [name for name in layers if holds_counts(layers[name])]
    places = [f"layers[{name!r}] holds counts: data.layer={name} takes them" for name in names]
    if raw is not None and holds_counts(raw.X):
        places.append("raw holds counts: data.layer=raw takes them")
    return "; ".join(places)


def names_with_counts(matrices: Mapping[str, Any]) -> Iterable[str]:
    """Return the names of the matrices that hold counts."""
    return [name for name, matrix in matrices.items() if holds_counts(matrix)]
