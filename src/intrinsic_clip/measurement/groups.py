"""Decide which rows belong together where the files of x and y do not say it row by row.

Three cases: pairs whose rows come in groups, such as five photos and five captions of one scene; one row of the shorter
side for several of the longer one, such as an image with five captions; and prompts of classes, one row of y each.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.data.formats.compared_ids import plain_text
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.metrics.pairing import Pairing

Ids: TypeAlias = Sequence[object] | np.ndarray | Tensor
FEWEST = 2  # groups or classes
REPEATED = r"(\d+) of (\d+)(?= points are exact duplicates of others)"


@dataclass(frozen=True)
class Grouping:
    """Groups and classes of n pairs, besides that row i of x and row i of y are partners.

    Attributes:
        groups: numbers of groups, int64 `(n,)`: all rows of a group are partners of each other.
        labels: numbers of classes, int64 `(n,)`.
        classes: y are prompts of the classes, one for each.
        joined: the pairs are a table made of both sides' groups, so that their numbers are those of no file.
        taken: by side, the number in its file of the row of each pair, int64 `(n,)`; of other sides pair i has row i.
    """

    groups: Tensor | None = None
    labels: Tensor | None = None
    classes: bool = False
    joined: bool = False
    taken: Mapping[str, Tensor] = field(default_factory=dict)

    def at(self, rows: Tensor) -> "Grouping":
        """Return the grouping of some of the rows: a mask or their places."""
        groups, labels = (None if part is None else part[rows.cpu()] for part in (self.groups, self.labels))
        taken = {side: numbers[rows.cpu()] for side, numbers in self.taken.items()}
        return replace(self, groups=groups, labels=labels, taken=taken)

    @property
    def of_x(self) -> Tensor | None:
        """Return the number in its file of the row of x of each pair, int64 `(n,)`; None: pair i has row i."""
        return self.taken.get("x")

    @property
    def copies(self) -> dict[str, int]:
        """Return, by side, rows of the table of pairs that repeat a row of the file, to have one for each partner."""
        return {side: len(numbers) - len(numbers.unique()) for side, numbers in self.taken.items()}

    def each(self, side: str) -> Tensor | None:
        """Return the place of the first pair of each row of a side's file, ascending; None: pair i has row i."""
        if side not in self.taken:
            return None
        numbers = self.taken[side].unique(return_inverse=True)[1]
        places = torch.full((int(numbers.max()) + 1,), len(numbers))
        return places.scatter_reduce(0, numbers, torch.arange(len(numbers)), "amin").sort().values

    def pairing(self, x: Tensor, y: Tensor) -> Pairing:
        """Return which of these rows belong together, rows that repeat included."""
        return Pairing.of_rows(x, y, self.groups, self.classes)


UNGROUPED = Grouping()


@dataclass(frozen=True)
class Arrangement:
    """Rows to take of each side so that row i of each are partners, and what is known of them.

    Attributes:
        rows: by side, int64 `(n,)`; sides that are not named stay as they are.
        grouping: of the n pairs.
        notes: what was decided, a sentence each.
    """

    rows: dict[str, Tensor]
    grouping: Grouping
    notes: tuple[str, ...] = ()


def arrange(
    counts: Mapping[str, int],
    groups: Mapping[str, Ids] | Ids | None,
    labels: Ids | None,
    usable: Mapping[str, Tensor] | None = None,
) -> Arrangement:
    """Decide which rows belong together.

    Args:
        counts: rows of x, and of y if there is one.
        groups: an id for each pair; or, where one side has fewer rows, for each row of the longer side the number of
            its row of the shorter one, from 0; or ids by side, x and y, of which equal ones belong together.
        labels: a class for each row of x; where y has another number of rows, the number of its row of y, from 0.
        usable: by side, which rows will be kept, `(n,)`: where ids are joined, these have each other as partners, so
            that none is lost with a partner that is left out. None: all.

    Raises:
        ConfigError: the ids do not fit the rows, or could mean several things.
    """
    n = counts["x"]
    if labels is not None and len(labels) != n:
        raise ConfigError(f"labels: {len(labels):,} classes, but x has {n:,} rows; must have one for each")
    if groups is None:
        if labels is None:
            return Arrangement({}, UNGROUPED)
        if counts.get("y", n) != n:
            return _prompts(n, counts["y"], labels)
        return Arrangement({}, Grouping(labels=_codes(labels, "labels")))
    if "y" not in counts:
        raise ConfigError("groups: needs y=…, the partners of x")
    if isinstance(groups, Mapping):
        found = _joined(counts, groups, usable)
    elif counts["x"] == counts["y"]:
        _check_length(groups, n, "x and y have")
        found = Arrangement({}, Grouping(_codes(groups, "groups")))
    else:
        found = _one_to_many(counts, groups)
    if labels is None:
        return found
    of_x = found.rows.get("x", torch.arange(n))
    return replace(found, grouping=replace(found.grouping, labels=_codes(labels, "labels")[of_x]))


def _prompts(n: int, count: int, labels: Ids) -> Arrangement:
    """Take the prompt of each row's class as its partner."""
    numbers = _numbers(labels, count, "labels", "y")
    used = torch.bincount(numbers, minlength=count) > 0
    notes = [f"y: {count:,} rows are prompts of classes; recall of x → y is zero-shot accuracy"]
    notes += _left_out("y", ~used, "of no class that a row of x has")
    taken = {"y": numbers}
    return Arrangement(taken, Grouping(labels=numbers, classes=True, taken=taken), tuple(notes))


def _one_to_many(counts: Mapping[str, int], groups: Ids) -> Arrangement:
    """Take the row of the shorter side that each row of the longer one names as its partner."""
    short, long = sorted(counts, key=lambda side: counts[side])[:2]
    _check_length(groups, counts[long], f"{short} has {counts[short]:,} and {long}")
    numbers = _numbers(groups, counts[short], "groups", short)
    used = torch.bincount(numbers, minlength=counts[short]) > 0
    each = counts[long] / max(1, int(used.sum()))
    notes = [
        f"{short}: {counts[short]:,} rows are partners of {counts[long]:,} rows of {long}, {each:.3g} each"
    ]
    notes += _left_out(short, ~used, f"that no row of {long} names")
    taken = {short: numbers}
    return Arrangement(taken, Grouping(numbers, taken=taken), tuple(notes))


def _joined(
    counts: Mapping[str, int], groups: Mapping[str, Ids], usable: Mapping[str, Tensor] | None
) -> Arrangement:
    """Make a table of pairs in which every row of a group that both sides have occurs, as often as it takes."""
    for side in "xy":
        _check_length(groups[side], counts[side], f"{side} has", f"groups of {side}")
        _check_each_has_one(_plain(groups[side]), f"groups of {side}")
    ids = [np.asarray([_name(each) for each in _plain(groups[side])]) for side in "xy"]
    if len(ids[0]) == len(ids[1]) and bool((ids[0] == ids[1]).all()):
        return Arrangement({}, Grouping(_codes(groups["x"], "groups")))
    common, _, _ = np.intersect1d(ids[0], ids[1], return_indices=True)
    if len(common) < FEWEST:
        raise ConfigError(f"groups: x and y have {len(common)} ids in common; must have at least {FEWEST}")
    code = {name: place for place, name in enumerate(common.tolist())}
    members: list[list[list[int]]] = [[[] for _ in code] for _ in ids]
    for own, names in zip(members, ids, strict=True):
        for row, name in enumerate(names.tolist()):
            if name in code:
                own[code[name]].append(row)
    kept = None if usable is None else [usable[side].tolist() for side in "xy"]
    pairs = [
        (*pair, place)
        for place, (mine, other) in enumerate(zip(*members, strict=True))
        for pair in _paired(mine, other, kept)
    ]
    x, y, of = torch.tensor(pairs, dtype=torch.int64).unbind(1)
    notes = [
        f"groups: {len(common):,} ids that x and y have in common, {len(pairs):,} pairs made of their rows"
    ]
    for side, names in zip("xy", ids, strict=True):
        alone = torch.tensor([name not in code for name in names.tolist()])
        notes += _left_out(side, alone, "whose id the other side lacks")
    taken = {"x": x, "y": y}
    return Arrangement(taken, Grouping(of, joined=True, taken=taken), tuple(notes))


def _paired(mine: list[int], other: list[int], kept: list[list[bool]] | None) -> list[tuple[int, int]]:
    """Return pairs of the rows of one group, as many as the longer side has; those that are kept are paired first."""
    if kept is None:
        return [(mine[j % len(mine)], other[j % len(other)]) for j in range(max(len(mine), len(other)))]
    good = [[row for row in rows if flags[row]] for rows, flags in zip((mine, other), kept, strict=True)]
    if not all(good) or (len(good[0]), len(good[1])) == (len(mine), len(other)):
        return _paired(mine, other, None)
    odd = [[row for row in rows if not flags[row]] for rows, flags in zip((mine, other), kept, strict=True)]
    return [
        *_paired(good[0], good[1], None),
        *((row, good[1][0]) for row in odd[0]),
        *((good[0][0], row) for row in odd[1]),
    ]


def about_files(notes: Iterable[str], grouping: Grouping, n: int) -> list[str]:
    """Return notes about the rows of the files: copies that the table of n pairs needs are no repetitions.

    Args:
        notes: on the table of pairs.
        grouping: of the pairs.
        n: pairs.
    """
    told, copies = [], grouping.copies
    for note in notes:
        side, _, rest = note.partition(": ")
        made = copies.get(side, 0)
        if made and (found := re.match(REPEATED, rest)):
            own = int(found[1]) - made
            if int(found[2]) == n and own > 0:
                told.append(f"{side}: {own} of {n - made}{rest[found.end() :]}")
        elif side == "pairs" and any(copies.values()) and " repeat others, so recall " in rest:
            told.append(f"pairs: recall {rest.partition(', so recall ')[2]}")
        else:
            told.append(note)
    return told


def _left_out(side: str, rows: Tensor, reason: str) -> list[str]:
    count = int(rows.sum())
    if not count:
        return []
    first = int(rows.nonzero()[0])
    return [f"{side}: {count:,} of {len(rows):,} rows, {reason}, are left out (the first is row {first:,})"]


def _check_length(ids: Ids, n: int, rows: str, name: str = "groups") -> None:
    if len(ids) != n:
        raise ConfigError(f"{name}: {len(ids):,} ids, but {rows} {n:,} rows; must have one for each")


def _check_each_has_one(ids: list[object], setting: str) -> None:
    """Require an id of every row: what is missing on both sides would be one id."""
    # pandas' NA is neither equal to itself nor different.
    missing = sum(each is None or str(each == each) != "True" or not plain_text(each) for each in ids)
    if missing:
        raise ConfigError(f"{setting}: {missing:,} of {len(ids):,} rows are without one; must have one each")


def _plain(ids: Ids) -> list[object]:
    return ids.tolist() if isinstance(ids, np.ndarray | Tensor) else list(ids)


def _name(value: object) -> str:
    """Return an id as plain text, and a whole number as one, whatever type its file has for it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else plain_text(value)


def _codes(ids: Ids, setting: str) -> Tensor:
    """Return a number for each id, equal for equal ids.

    Raises:
        ConfigError: there is one id only, or ids are missing.
    """
    plain = _plain(ids)
    _check_each_has_one(plain, setting)
    names, codes = np.unique(np.asarray([_name(value) for value in plain]), return_inverse=True)
    if len(names) < FEWEST:
        raise ConfigError(
            f"{setting}: all rows have the same, {str(names[0])!r}; must have at least {FEWEST}"
        )
    return torch.from_numpy(codes.astype(np.int64).reshape(-1))


def _numbers(ids: Ids, count: int, setting: str, side: str) -> Tensor:
    """Return ids as numbers of rows of a side.

    Raises:
        ConfigError: they are no whole numbers from 0 to count − 1.
    """
    wanted = f"must be the number of a row of {side}, 0 … {count - 1:,}"
    values = []
    for value in _plain(ids):
        text = _name(value)
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not number.is_integer():
            raise ConfigError(f"{setting}: {text!r} is no row: {wanted}")
        values.append(int(number))
    low, high = min(values), max(values)
    if low < 0 or high >= count:
        hint = "; these count from 1" if (low, high) == (1, count) else ""
        raise ConfigError(f"{setting}: numbers from {low:,} to {high:,}; each {wanted}{hint}")
    return torch.tensor(values, dtype=torch.int64)
