"""Columns whose cells are vectors, in .parquet files and written out in text tables."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.arrays import read_array
from intrinsic_clip.errors import ConfigError

X = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
LISTS = [row.tolist() for row in X]


def parquet(columns: dict, name: str = "x.parquet") -> Path:
    pytest.importorskip("pyarrow")
    table = pd.DataFrame(columns)
    table.to_parquet(name) if name.endswith(".parquet") else table.to_feather(name)
    return Path(name)


def csv(columns: dict) -> Path:
    pd.DataFrame(columns).to_csv("x.csv", index=False)
    return Path("x.csv")


WRITTEN = {
    "as JSON": [str(row) for row in LISTS],
    "as NumPy prints them": [str(row) for row in X],
    "as NumPy represents them": [repr(row) for row in X],
    "as PyTorch represents them": [str(torch.from_numpy(row)) for row in X],
    "as tuples": [str(tuple(row)) for row in LISTS],
}


@pytest.mark.parametrize("way", WRITTEN)
@pytest.mark.parametrize("alone", [True, False])
def test_lists_written_out_in_a_csv(way: str, alone: bool) -> None:
    others = {} if alone else {"id": range(30), "text": [f"a, {i}" for i in range(30)]}
    rows, notes = read_array(csv({**others, "embedding": WRITTEN[way]}))
    assert rows.shape == (30, 8)
    assert np.allclose(rows.numpy(), X, atol=1e-3 if "PyTorch" in way else 1e-6)
    assert alone or "column 'embedding' is read, id, text left out" in notes


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([str(np.arange(2000.0))] * 3, "holds lists that were shortened when they were written"),
        (["[1.0, 2.0]", "[1.0]", "[1.0, 2.0]"], "column 'v' holds lists of 1 to 2 numbers"),
        (["[1.0, 2.0]", "[1.0, x]", "[1.0, 2.0]"], "no list of numbers in row 2: '[1.0, x]'"),
        (["[1.0, 2.0]", "[1.0, 2.0", "[1.0, 2.0]"], "no list of numbers in row 2: '[1.0, 2.0'"),
        (["[[1.0], [2.0]]"] * 3, "no list of numbers in row 1"),
    ],
)
def test_lists_that_cannot_be_read(cells: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_array(csv({"id": range(3), "v": cells}))
    assert message in str(caught.value)


def test_the_key_chooses_between_written_lists() -> None:
    path = csv({"image": WRITTEN["as JSON"], "text": [str(row[:2]) for row in LISTS]})
    with pytest.raises(ConfigError, match="holds 2 columns of lists: image, text; x_key=… says which"):
        read_array(path, Key(None, "x_key"))
    assert read_array(path, Key("text", "x_key"))[0].shape == (30, 2)


@pytest.mark.parametrize("name", ["x.parquet", "x.feather"])
def test_missing_lists_are_missing_numbers(name: str) -> None:
    cells = [None if i in (0, 7) else row for i, row in enumerate(LISTS)]
    rows, notes = read_array(parquet({"id": range(30), "v": cells}, name))
    assert rows.isnan().all(1).nonzero().flatten().tolist() == [0, 7]
    assert np.allclose(rows.numpy()[1:7], X[1:7])
    assert notes == ["column 'v' is read, id left out", "2 of 30 cells of column 'v' are empty"]
    inner = [[None, *row[1:]] if i == 3 else row for i, row in enumerate(LISTS)]
    assert read_array(parquet({"v": inner}, name))[0].isnan().nonzero().tolist() == [[3, 0]]


def test_lists_of_fixed_size_and_of_whole_numbers() -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet as file

    whole = np.round(X * 50).astype(np.int8)
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(whole.reshape(-1)), 8)
    file.write_table(pa.table({"id": list(range(30)), "v": fixed}), "x.parquet")
    rows, _ = read_array(Path("x.parquet"))
    assert rows.dtype == torch.float32
    assert np.array_equal(rows.numpy(), whole)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"v": [[1.0], [], [2.0]]}, "column 'v' holds lists of 0 to 1 numbers"),
        ({"v": [[[1.0, 2.0]], [[1.0, 2.0]]]}, "column 'v' holds lists of lists"),
        ({"v": [["a"], ["b"]]}, "column 'v' holds lists of"),
        ({"v": [{"a": 1.0}, {"a": 2.0}], "w": [1.5, 2.5]}, "column 'v' holds other things than numbers"),
        ({"v": [b"12345678", b"22345678"], "w": [1.5, 2.5]}, "column 'v' holds other things than numbers"),
    ],
)
def test_cells_that_are_no_vectors(columns: dict, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_array(parquet(columns))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_decimals_and_nullable_numbers() -> None:
    columns = {
        "a": [Decimal(f"{i}.25") for i in range(30)],
        "b": pd.array([None, *X[1:, 1]], "Float32"),
        "c": X[:, 2].astype(np.float16).astype(np.float32),
    }
    rows, _ = read_array(parquet(columns))
    assert rows[:, 0].tolist() == [i + 0.25 for i in range(30)]
    assert rows[0, 1].isnan()
    assert np.allclose(rows[1:, 1].numpy(), X[1:, 1])


def test_a_sparse_matrix_is_named() -> None:
    names = {"data": X[0], "indices": np.arange(8), "indptr": np.arange(2), "shape": np.array([1, 8])}
    np.savez("x.npz", format=np.array("csr"), **names)
    with pytest.raises(ConfigError, match="holds a sparse matrix of SciPy"):
        read_array(Path("x.npz"))


def test_lists_of_numpy_scalars_as_numpy_2_prints_them() -> None:
    cells = [f"[{', '.join(f'np.float32({value})' for value in row)}]" for row in LISTS]
    pd.DataFrame({"embedding": cells}).to_csv("x.csv", index=False)
    rows, _ = read_array(Path("x.csv"))
    assert np.allclose(rows.numpy(), X)
