"""Find rows that occur several times, which must not be on both sides of a split."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from intrinsic_clip.data.splits import linked_digests

IDENTIFIES = 0.9  # of the distinct rows: as many values has a column that tells rows apart by itself
CLASSES = 10  # rows for each different one: an image has fewer captions, a class as many images or more (ImageNetV2)
TIED = 0.05  # of the rows: a larger group would rule the split that it falls into
BLOCK = 2**12  # rows that are converted at a time


def contents_of_pairs(x: Tensor, y: Tensor, exact: bool = False) -> tuple[list[bytes], list[str]]:
    """Return a digest for each pair, equal for those that must stay in one split, and notes on what was decided.

    Pairs of equal x stay together, and so do those of equal y, unless rows of y agree by chance or are classes: no
    column but of whole numbers tells them apart, there are ten for each different one, or more than a twentieth of all
    pairs would be tied to one another.

    Args:
        x, y: `(n, d_x)` and `(n, d_y)`.
        exact: tell rows apart that are equal in single precision alone.
    """
    of_x, of_y = row_contents(x, exact), row_contents(y, exact)
    notes = [] if exact else [*_rounded("x", x, of_x), *_rounded("y", y, of_y)]
    firsts: dict[bytes, int] = {}
    for row, content in enumerate(of_y):
        firsts.setdefault(content, row)
    linked = linked_digests(of_x, of_y) if len(firsts) < len(y) else of_x
    if len(set(linked)) == len(set(of_x)):  # nothing is equal, or whole pairs are
        return of_x, notes
    told = f"y: {len(y):,} rows are {len(firsts):,} different ones"
    reason = _by_chance(y[list(firsts.values())], len(y)) or _tied(linked, of_x)
    if reason:
        return of_x, [*notes, f"{told}, {reason}; pairs of equal y can be in two splits"]
    return linked, [*notes, f"{told}; pairs of equal y stay in one split, as those of equal x do"]


def row_contents(rows: Tensor, exact: bool = False) -> list[bytes]:
    """Return a digest of each row of `(n, d)` as it is trained on, in single precision; 0 and −0 are the same.

    Args:
        rows: of any floating-point type; of the same numbers in another type the digests are the same.
        exact: tell rows apart that are equal in single precision alone.
    """
    digests = []
    for block in rows.split(BLOCK):
        single = block.float() + 0.0  # −0 becomes 0
        arrays = list(single.numpy())
        if exact and block.dtype == torch.float64:
            for row in (single.double() != block).any(1).nonzero()[:, 0].tolist():
                arrays[row] = (block[row] + 0.0).numpy()
        digests += [hashlib.blake2b(array.tobytes(), digest_size=16).digest() for array in arrays]
    return digests


def identified(distinct: Tensor) -> bool:
    """Return whether rows `(n, d)`, all different, are told apart by a column that does not hold whole numbers.

    Rows of codes, counts or classes are not: they agree by chance.
    """
    measured = (distinct != distinct.round()).any(0)
    return any(len(column.unique()) >= IDENTIFIES * len(distinct) for column in distinct[:, measured].T)


def _by_chance(distinct: Tensor, n: int) -> str:
    """Return why rows may be equal and still be of different things; empty where they are not."""
    if n >= CLASSES * len(distinct):
        return f"{n / len(distinct):.3g} of each on average, as of classes"
    return "" if identified(distinct) else "of whole numbers or few values, as codes and counts are"


def _tied(linked: Sequence[bytes], of_x: Sequence[bytes]) -> str:
    """Return why pairs of equal y cannot stay together; empty where they can."""
    (largest,), (before,) = (
        [count for _, count in Counter(digests).most_common(1)] for digests in (linked, of_x)
    )
    if largest <= max(before, TIED * len(linked)):
        return ""
    return f"which would tie {largest:,} pairs to one another"


def _rounded(side: str, rows: Tensor, contents: Sequence[bytes]) -> list[str]:
    """Return a note where different rows are equal in single precision."""
    if rows.dtype != torch.float64:
        return []
    given, left = len(set(row_contents(rows, exact=True))), len(set(contents))
    if given == left:
        return []
    return [
        f"{side}: {given:,} different rows are {left:,} in single precision, in which a training computes; "
        "data.standardise=true subtracts the mean before"
    ]
