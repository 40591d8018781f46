"""Say which rows cannot be measured: those that are missing, and those that hold NaN or infinity; and what to do."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.dimension.row_source import RowSource, TensorRows
from intrinsic_clip.errors import ConfigError, NonFiniteRows
from intrinsic_clip.reports.number_format import hold, listed

if TYPE_CHECKING:
    from intrinsic_clip.measurement.loading import LoadedEmbeddings

DROP = "nan=drop leaves them out (with their partners)"
BLOCK = 8192
NAMED = 10
NEARLY_ALL = 0.9  # share of the rows from which on it is a column that cannot be measured, and not the rows


class Needed(NamedTuple):
    """Rows that a verb needs.

    Attributes:
        rows: their number.
        clause: says so, such as `k=20 needs at least 21`.
        few: says it of fewer rows, whose number it formats.
    """

    rows: int
    clause: str
    few: str = "{:,} rows are too few"

    def check(self, n: int) -> None:
        """Check that there are enough rows.

        Raises:
            ConfigError: they are too few.
        """
        if n < self.rows:
            raise ConfigError(self.few.format(n))


def for_neighbours(k: int) -> Needed:
    """Return the rows that estimators with k neighbours need."""
    few = f"{{:,}} rows are too few for k={k} neighbours; there must be at least {k + 1}"
    return Needed(k + 1, f"k={k} needs at least {k + 1}", few)


def for_pairs(verb: str, least: int) -> Needed:
    """Return the pairs that a verb without neighbours needs."""
    clause = f"{verb} needs at least {least}"
    return Needed(least, clause, f"{{:,}} pairs are too few; {clause}")


def drop_or_refuse(embeddings: "LoadedEmbeddings", nan: str, needed: Needed) -> None:
    """Refuse rows that hold NaN or infinity, or drop them together with their partners if enough are left.

    Raises:
        NonFiniteRows: there are such rows, and they are not to be dropped or too few would be left.
    """
    finite = {name: rows.isfinite().all(1) for name, rows in embeddings.sides.items()}
    usable = torch.stack(list(finite.values())).all(0)
    if bool(usable.all()):
        return
    each = _rows_of_files(embeddings)
    of_files = {name: rows if each[name] is None else rows[each[name]] for name, rows in finite.items()}
    sources = {
        name: TensorRows(rows if each[name] is None else rows[each[name]])
        for name, rows in embeddings.sides.items()
    }
    left = int(usable.sum())
    if nan == "refuse" or left < needed.rows:
        raise refusal(of_files, sources, needed, embeddings.columns, left)
    grouping = embeddings.grouping
    embeddings.keep(usable)
    embeddings.nonfinite = _counts(of_files)
    taken = {} if grouping is None else grouping.taken
    told = _pairs_left(finite, taken) if taken else rows_left(usable, finite)
    embeddings.notes.append(f"{unusable(of_files, sources)}; {told}")


def unusable(finite: Mapping[str, Tensor], sources: Mapping[str, RowSource]) -> str:
    """Return how many rows of which sides are missing, and how many hold NaN or infinity.

    Args:
        finite: which rows hold neither, `(n,)` by side.
        sources: the rows by side; those of a side with such rows are read once more.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension.row_source import TensorRows
        >>> from intrinsic_clip.measurement.unusable_rows import unusable
        >>> rows = torch.tensor([[1.0, 2.0], [torch.nan, torch.nan], [3.0, torch.inf]])
        >>> unusable({"x": rows.isfinite().all(1)}, {"x": TensorRows(rows)})
        '1 of 3 rows of x are missing (null, or NaN throughout), 1 of 3 rows of x hold NaN or infinity'
    """
    missing, odd = [], []
    for side, usable in finite.items():
        n, count = len(usable), int((~usable).sum())
        blank = _blank(sources[side]) if count else 0
        missing += [f"{blank:,} of {n:,} rows of {side}"] if blank else []
        odd += [f"{count - blank:,} of {n:,} rows of {side}"] if count > blank else []
    listed = [f"{', '.join(missing)} are missing (null, or NaN throughout)"] if missing else []
    return ", ".join(listed + ([f"{', '.join(odd)} hold NaN or infinity"] if odd else []))


def refusal(
    finite: Mapping[str, Tensor],
    sources: Mapping[str, RowSource],
    needed: Needed,
    columns: Mapping[str, Sequence[str]],
    left: int | None = None,
) -> NonFiniteRows:
    """Return the error that says which rows hold NaN or infinity, and what to do; arguments as for `remedy`."""
    message = f"{unusable(finite, sources)}; {remedy(finite, sources, needed, columns, left)}"
    return NonFiniteRows(message, _counts(finite))


def remedy(
    finite: Mapping[str, Tensor],
    sources: Mapping[str, RowSource],
    needed: Needed,
    columns: Mapping[str, Sequence[str]],
    left: int | None = None,
) -> str:
    """Return what to do about rows that hold NaN or infinity.

    Args:
        finite, sources: as for `unusable`.
        needed: rows without which nothing can be measured, so that leaving rows out is no remedy.
        columns: what `drop=` calls the columns of those sides that are tables.
        left: rows or pairs that nan=drop leaves; None: those that are finite on all sides, whose rows i are partners.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension.row_source import TensorRows
        >>> from intrinsic_clip.measurement.unusable_rows import Needed, remedy
        >>> rows = torch.zeros(50, 3).index_fill(1, torch.tensor([1]), torch.nan)
        >>> sides, finite = {"x": TensorRows(rows)}, {"x": rows.isfinite().all(1)}
        >>> advised = remedy(finite, sides, Needed(21, "k=20 needs at least 21"), {"x": ["a", "b", "c"]})
        >>> for part in advised.split("; "):
        ...     print(part)
        column b of x holds NaN or infinity in 50 of 50 rows, drop=b leaves it out
        nan=drop leaves 0 rows, but k=20 needs at least 21
    """
    parts = [
        part
        for side, usable in finite.items()
        if not bool(usable.all())
        for part in _about_columns(side, sources[side], columns.get(side))
    ]
    if left is None:
        left = int(torch.stack([usable.cpu() for usable in finite.values()]).all(0).sum())
    dropped = DROP if left >= needed.rows else f"nan=drop leaves {left:,} rows, but {needed.clause}"
    return "; ".join([*parts, dropped])


def rows_left(usable: Tensor, sides: Collection[str]) -> str:
    """Return how many rows are left, and the numbers of those that are not; of many, the first ten.

    Args:
        usable: which rows are left, `(n,)`.
        sides: x, or x and y, whose partners have one number.

    Example:
        >>> import torch
        >>> from intrinsic_clip.measurement.unusable_rows import rows_left
        >>> rows_left(torch.tensor([True, False, True]), ["x"])
        '2 rows are left, without row 1 (counted from 0)'
        >>> rows_left(torch.arange(40) % 3 > 0, ["x", "y"])
        '26 rows are left, without pairs 0, 3, 6, 9, 12, 15, 18, 21, 24, 27 and 4 more (counted from 0)'
    """
    gone = _numbered("pair" if len(sides) > 1 else "row", (~usable).nonzero().flatten())
    return f"{int(usable.sum()):,} rows are left, without {gone} (counted from 0)"


def _pairs_left(finite: Mapping[str, Tensor], taken: Mapping[str, Tensor]) -> str:
    """Return how many pairs are left where groups make them, and which rows of the files are not finite.

    Args:
        finite: which pairs have a finite row, `(n,)` by side.
        taken: by side, the number in its file of the row of each pair; of other sides pair i has row i.
    """
    left = int(torch.stack(list(finite.values())).all(0).sum())
    gone = {side: (~rows).nonzero().flatten() for side, rows in finite.items() if not bool(rows.all())}
    numbers = {side: taken[side][pairs].unique() if side in taken else pairs for side, pairs in gone.items()}
    named = " and ".join(f"{_numbered('row', rows)} of {side}" for side, rows in numbers.items())
    return f"{left:,} pairs are left, without {named} (counted from 0)"


def _numbered(what: str, numbers: Tensor) -> str:
    """Name rows or pairs by their numbers; of many, the first ten."""
    first = [f"{row:,}" for row in numbers[:NAMED].tolist()]
    return f"{what}{'s' * (len(numbers) > 1)} {listed(first, len(numbers))}"


def _counts(finite: Mapping[str, Tensor]) -> dict[str, int]:
    """Return how many rows of each side hold NaN or infinity."""
    return {side: int((~rows).sum()) for side, rows in finite.items()}


def _rows_of_files(embeddings: "LoadedEmbeddings") -> dict[str, Tensor | None]:
    """Return, by side, the place of the first pair of each row of its file; None: pair i has row i."""
    grouping = embeddings.grouping
    return {side: None if grouping is None else grouping.each(side) for side in embeddings.sides}


def _blank(source: RowSource) -> int:
    """Return the number of rows without any number; a null in a table is read as one."""
    if source.shape[1] < 2:
        return 0
    return sum(int(block.isnan().all(1).sum()) for _, block in source.blocks(BLOCK))


def _about_columns(side: str, source: RowSource, names: Sequence[str] | None) -> list[str]:
    """Return which columns hold no number in nearly all rows, and how to leave them out; empty where there are none.

    Rows that are missing altogether do not count, and where no column is left it is the rows that are unusable.
    """
    odd, rows, blank = torch.zeros(source.shape[1], dtype=torch.int64), 0, 0
    for _, block in source.blocks(BLOCK):
        missing = ~block.isfinite().cpu()
        odd += missing.sum(0)
        blank += int(missing.all(1).sum())
        rows += len(block)
    bad = (odd - blank >= max(1.0, NEARLY_ALL * (rows - blank))).nonzero().flatten().tolist()
    if not bad or len(bad) == source.shape[1]:
        return []
    called = [names[place] for place in bad] if names else [f"{place:,}" for place in bad]
    shown = listed(called[:NAMED], len(bad))
    fewest = int(odd[bad].min())
    columns, them = ("column", "it") if len(bad) == 1 else ("columns", "them")
    counted = "" if names else " (counted from 0)"
    said = f"{columns} {shown} of {side}{counted} {hold(len(bad))} NaN or infinity in {fewest:,} of {rows:,} rows"
    if names:
        joined = ",".join(called[:NAMED])
        return [f"{said}, drop={joined if len(bad) == 1 else f'[{joined}]'} leaves {them} out"]
    places = ", ".join(map(str, bad[:NAMED]))
    cut = places if len(bad) == 1 else f"[{places}]"
    return [f"{said}, numpy.delete(rows, {cut}, axis=1) leaves {them} out"]
