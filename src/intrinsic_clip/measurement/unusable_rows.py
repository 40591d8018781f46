"""Say which rows cannot be measured: those that are missing, and those that hold NaN or infinity."""

from collections.abc import Mapping

from torch import Tensor

from intrinsic_clip.dimension.row_source import RowSource

DROP = "nan=drop leaves them out (with their partners)"
BLOCK = 8192


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


def _blank(source: RowSource) -> int:
    """Return the number of rows without any number; a null in a table is read as one."""
    if source.shape[1] < 2:
        return 0
    return sum(int(block.isnan().all(1).sum()) for _, block in source.blocks(BLOCK))
