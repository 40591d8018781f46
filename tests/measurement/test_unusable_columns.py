"""Columns that hold no number: what a user is told to leave out, in place of all rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from intrinsic_clip.dimension.row_source import TensorRows
from intrinsic_clip.measurement.unusable_rows import Needed, remedy

FEW = ["progress=false", "threads=1", "estimators=[mle]", "k=20"]
NEEDED = Needed(21, "k=20 needs at least 21")
CIRCLE = "nan=drop leaves 0 rows, but k=20 needs at least 21"


def rows(n: int = 300, width: int = 5) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, width))


@pytest.mark.parametrize("further", [[], ["nan=drop"], ["queries=100"], ["queries=100", "nan=drop"]])
@pytest.mark.parametrize("suffix", [".npy", ".csv", ".parquet"])
def test_a_column_without_numbers_is_named_with_what_leaves_it_out(
    command_line, capsys, suffix, further
) -> None:
    table = pd.DataFrame(rows(), columns=list("abcde"))
    table.loc[0 if suffix == ".npy" else 10 :, "c"] = np.nan  # tables leave out what holds no number at all
    path = Path(f"x{suffix}")
    if suffix == ".npy":
        np.save(path, table.to_numpy())
    elif suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path)
    assert command_line("measure", f"x={path}", *further, *FEW) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    named, count, cut, left = (
        ("2 of x (counted from 0)", 300, "numpy.delete(rows, 2, axis=1)", 0)
        if suffix == ".npy"
        else ("c of x", 290, "drop=c", 10)
    )
    assert error == (
        f"intrinsic-clip: {count} of 300 rows of x hold NaN or infinity; column {named} holds NaN or infinity in "
        f"{count} of 300 rows, {cut} leaves it out; nan=drop leaves {left} rows, but k=20 needs at least 21"
    )
    if suffix != ".npy":
        assert command_line("measure", f"x={path}", "drop=c", *further, *FEW) == 0


def told(values: np.ndarray, columns: list[str] | None = None) -> str:
    tensor = torch.from_numpy(values)
    named = {} if columns is None else {"x": columns}
    return remedy({"x": tensor.isfinite().all(1)}, {"x": TensorRows(tensor)}, NEEDED, named)


def test_columns_that_are_nearly_empty_are_named_beside_rows_that_can_be_left_out() -> None:
    values = rows(400)
    values[:370, 1], values[:390, 3] = np.nan, np.inf
    assert told(values) == (
        "columns 1, 3 of x (counted from 0) hold NaN or infinity in 370 of 400 rows, "
        "numpy.delete(rows, [1, 3], axis=1) leaves them out; nan=drop leaves 10 rows, but k=20 needs at least 21"
    )
    values[:, 3] = 0
    assert told(values, list("abcde")) == (
        "column b of x holds NaN or infinity in 370 of 400 rows, drop=b leaves it out; "
        "nan=drop leaves them out (with their partners)"
    )


def test_rows_that_are_missing_are_not_taken_for_columns() -> None:
    values = rows(400)
    values[:370] = np.nan
    assert told(values) == "nan=drop leaves them out (with their partners)"
    values[:390] = np.nan
    assert told(values) == "nan=drop leaves 10 rows, but k=20 needs at least 21"
    values[:, 2] = np.nan
    assert "column 2 of x" in told(values)
    assert told(np.full((400, 1), np.nan)) == CIRCLE
