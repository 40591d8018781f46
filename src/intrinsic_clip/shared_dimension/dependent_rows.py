"""Find pairs that are no independent draws: copies of a row on one side, and rows in the order of time.

A pair whose relatives are learned from is no test when it is held out, and shuffled pairs that forget which rows belong
together show too little by chance.
"""

import math

import torch
from torch import Tensor

from intrinsic_clip.data.repeated_rows import identified
from intrinsic_clip.dimension import Neighbours
from intrinsic_clip.dimension.doubts import grouped, in_short, near_duplicates
from intrinsic_clip.metrics.counterparts import distinct_rows
from intrinsic_clip.seeding import seeded

ALIKE = (
    0.8  # of the squared distance of random rows: with less between successive ones, they follow one another
)


def one_of_each(x: Tensor, y: Tensor, fewest: int, seed: int) -> tuple[Tensor, list[str], dict[str, str]]:
    """Return the row numbers of one pair of each row that is there several times on one side, and what was decided.

    An image beside each of its captions is one draw. Rows of codes, counts or classes agree by chance and are kept: no
    column of theirs, but of whole numbers, tells the rows apart.

    Args:
        x, y: `(n, p_x)` and `(n, p_y)`, or images `(n, …)`, pairs that are distinct.
        fewest: pairs that have to be left; otherwise all are kept.
        seed: of the choice.

    Returns:
        The row numbers; a sentence for each side of which rows were left out; and for each side of which too few would
        be left, how many rows are different ones.
    """
    kept, notes, few = torch.arange(len(x)), list[str](), dict[str, str]()
    ranks = torch.randperm(len(x), generator=seeded(seed))
    for side, rows in (("x", x), ("y", y)):
        codes = _codes(rows[kept])
        if codes is None:
            continue
        count, distinct = len(kept), int(codes.max()) + 1
        if distinct < fewest:
            few[side] = f"{count:,} rows are {distinct:,} different ones"
            continue
        rank = ranks[kept]
        lowest = torch.full((distinct,), len(x)).scatter_reduce(0, codes, rank, "amin")
        kept = kept[rank == lowest[codes]]
        notes.append(
            f"{side}: {count:,} rows are {distinct:,} different ones, as images beside several captions each are; one "
            "pair of each is taken"
        )
    return kept, notes, few


def _codes(rows: Tensor) -> Tensor | None:
    """Return which distinct row each row is, `(n,)`; None where all are distinct, or may agree by chance."""
    if rows.ndim > 2:  # images, which do not agree by chance
        first, codes = distinct_rows(rows, 0).unique(return_inverse=True)
        return codes if len(first) < len(rows) else None
    distinct, codes = rows.unique(dim=0, return_inverse=True)
    if len(distinct) == len(rows):
        return None
    return codes if identified(distinct) else None


def grouped_rows(neighbours: Neighbours) -> str | None:
    """Return the beginning of the doubt about rows that come in groups; None where they seem to be independent."""
    doubt = near_duplicates(neighbours) or grouped(neighbours)
    return None if doubt is None else in_short(doubt)


def relatives(doubts: dict[str, str]) -> tuple[list[str], str | None]:
    """Return notes on sides whose rows come in groups, and what is needed where both do.

    Args:
        doubts: by side, why its rows are no independent draws.
    """
    if len(doubts) < 2:
        return [f"{side}: {doubt}" for side, doubt in doubts.items()], None
    notes = [
        f"{side}: {doubt}, so that held-out pairs have relatives among those that are learned from"
        for side, doubt in doubts.items()
    ]
    return notes, "one pair of each group is needed"


def order_note(x: Tensor, y: Tensor) -> str | None:
    """Return a sentence if successive rows are alike on both sides, as those of a time series are.

    Half the mean square of differences between successive rows is the variance where rows are independent (von Neumann,
    *Distribution of the ratio of the mean square successive difference to the variance*, 1941).

    Args:
        x, y: `(n, p_x)` and `(n, p_y)` in the order in which they were given.
    """
    least = min(ALIKE, 1 - 4 * math.sqrt(3 / len(x)))
    if max(_successive(x), _successive(y)) > least:
        return None
    return (
        "successive rows are alike on both sides; if they follow one another in time, or come from one subject after "
        "another, they are no independent pairs: the number and its interval claim too much, and p is too small"
    )


def _successive(rows: Tensor) -> float:
    """Return half the mean square of differences between successive rows, relative to the variance."""
    rows = rows.double()
    variance = float(rows.var(0, correction=0).sum())
    return float(rows.diff(dim=0).square().sum(1).mean()) / (2 * variance) if variance > 0 else 1.0
