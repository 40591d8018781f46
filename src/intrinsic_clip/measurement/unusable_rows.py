"""Say which rows cannot be measured: those that are missing, and those that hold NaN or infinity."""

from collections.abc import Collection, Mapping

from torch import Tensor

from intrinsic_clip.dimension.row_source import RowSource

DROP = "nan=drop leaves them out (with their partners)"
BLOCK = 8192
NAMED = 10


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
    gone = (~usable).nonzero().flatten()
    named = ", ".join(f"{row:,}" for row in gone[:NAMED].tolist())
    more = f" and {len(gone) - NAMED:,} more" if len(gone) > NAMED else ""
    what = ("pair" if len(sides) > 1 else "row") + "s" * (len(gone) > 1)
    return f"{int(usable.sum()):,} rows are left, without {what} {named}{more} (counted from 0)"


def _blank(source: RowSource) -> int:
    """Return the number of rows without any number; a null in a table is read as one."""
    if source.shape[1] < 2:
        return 0
    return sum(int(block.isnan().all(1).sum()) for _, block in source.blocks(BLOCK))
