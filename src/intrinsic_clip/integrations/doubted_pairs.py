"""Leave out pairs that cannot be measured, and doubt pairs that may not be meant as they are."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from intrinsic_clip.measurement.doubts import guessing, varying_norms
from intrinsic_clip.measurement.embeddings import Embeddings, Measured

WAYS = ("x_to_y", "y_to_x")
ONE_SIDED = ("/x", "/y")  # ends of names of numbers that are of one side alone
SUSPECT = 0.2  # median rank of partners, as a share of the candidates, from which on they may be matched by guessing


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


def one_space(embeddings: Embeddings) -> bool:
    """Return whether rows of x and of y can be compared: there is a y, of the width of x, or there is none."""
    return embeddings.y is None or embeddings.x.shape[-1] == embeddings.y.shape[-1]


def doubts_of_matching(embeddings: Embeddings, values: Mapping[str, Measured]) -> Iterator[str]:
    """Yield doubts about pairs that were matched: norms that vary, and partners found by guessing.

    Args:
        embeddings: of x and y.
        values: what was measured of them.
    """
    x, y = embeddings.x, embeddings.y
    if y is None or not one_space(embeddings):
        return
    measured = {name for name, number in values.items() if number.value is not None}
    if any(name.startswith("matching/") for name in measured):
        doubt = varying_norms(x, y)
        if doubt is not None:
            yield doubt
    for kind in ("retrieval", "matching"):  # the first that is there; cosines are not misled by norms
        medians = [values[name] for way in WAYS if (name := f"{kind}/median_rank/{way}") in measured]
        if medians:
            largest = max(float(number.value) for number in medians if number.value is not None)
            both = embeddings.counterparts()
            candidates = len(x) if both is None else min(len(both.x), len(both.y))
            doubt = guessing(x, y, both) if largest >= SUSPECT * candidates else None
            if doubt is not None:
                yield doubt
            return
