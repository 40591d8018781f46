"""Compare what names the rows of two files, so that row i of each can be told to be the same thing, or not."""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

SHOWN = 40  # characters of an id in a message
REORDERED = "the same ids in another order; sort both alike"


class Difference(NamedTuple):
    """Difference between two columns of ids.

    Attributes:
        differing, of: rows that differ, of how many.
        row: the first of them.
        values: the ids of that row, shortened.
        reordered: the same ids are in another order.
    """

    differing: int
    of: int
    row: int
    values: tuple[str, str]
    reordered: bool

    def told(self, column: str, sides: Sequence[str]) -> str:
        """Return it in words."""
        return (
            f"{column!r} of {sides[0]} and {sides[1]} differ in {self.differing:,} of {self.of:,} rows, first in row "
            f"{self.row}: {self.values[0]!r} and {self.values[1]!r}"
        )


def difference(first: np.ndarray, second: np.ndarray) -> Difference | None:
    """Return what two columns of ids of one length differ in; None where they are the same.

    Whole numbers are compared as such, since many ids of 64 bits are one number in floating point; numbers of which one
    side is floating point as floating point; whole numbers that one side writes as texts, such as 007, as numbers too;
    everything else as text, without the spaces around it, with which databases fill up columns, and with accents as one
    character each, which file systems write as two.
    """
    one, other = _alike(first, second)
    if one.dtype.kind == "O":  # one by one: an array of texts takes as much for each as for the longest
        pairs = zip(one, other, strict=True)
        same = np.fromiter((_same_text(mine, its) for mine, its in pairs), bool, len(one))
    else:
        same = (one == other) | ((one != one) & (other != other))
    if bool(same.all()):
        return None
    row = int(np.argmin(same))
    values = str(first[row])[:SHOWN], str(second[row])[:SHOWN]
    return Difference(int((~same).sum()), len(same), row, values, _same_values(one[~same], other[~same]))


def _alike(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as whole numbers, as floating point, or as objects whose texts are to be compared."""
    kinds = {first.dtype.kind, second.dtype.kind}
    if kinds <= set("iu"):
        return first, second
    if kinds <= set("iuf") or kinds == {"O", "f"}:  # objects are whole numbers where some are missing
        try:
            return first.astype(float), second.astype(float)
        except (TypeError, ValueError):
            pass
    elif kinds & set("iuf") and kinds & set("OU"):  # 7 and "007", as one of two programs writes it
        try:
            return _numbers(first), _numbers(second)
        except (TypeError, ValueError, OverflowError):
            pass
    return first.astype(object), second.astype(object)


def _numbers(ids: np.ndarray) -> np.ndarray:
    """Return ids as whole numbers, or as floating point where they are that already.

    Raises:
        TypeError, ValueError, OverflowError: they are none, or too large.
    """
    if ids.dtype.kind == "O" and not all(isinstance(each, str | int) for each in ids):
        raise TypeError("fractions would be cut")
    return ids.astype(float if ids.dtype.kind == "f" else np.int64)


def _same_values(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype.kind == "O":
        return sorted(map(plain_text, one)) == sorted(map(plain_text, other))
    return np.array_equal(np.sort(one), np.sort(other), equal_nan=one.dtype.kind == "f")


def _same_text(one: object, other: object) -> bool:
    return str(one) == str(other) or plain_text(one) == plain_text(other)


def plain_text(value: object) -> str:
    """Return an id as text: bytes decoded, no spaces around it, each accent in the character that it belongs to."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return unicodedata.normalize("NFC", text.strip())
