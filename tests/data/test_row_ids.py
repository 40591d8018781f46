"""Columns and arrays that name rows, in the formats that have room for them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from intrinsic_clip.data.formats.row_ids import row_ids


@pytest.fixture
def table() -> pd.DataFrame:
    rows = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    frame = pd.DataFrame(rows, columns=["d0", "d1", "d2"])
    frame.insert(0, "image_id", np.arange(30) * 7)
    frame.insert(1, "Caption", [f"text{i}" for i in range(30)])
    frame.insert(2, "timestamp", np.arange(30))
    frame["embedding"] = list(rows)
    return frame


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".csv", ".tsv"])
def test_columns_of_ids_are_read_and_dropped_ones_are_not(table, suffix) -> None:
    path = Path(f"rows{suffix}")
    if suffix in (".csv", ".tsv"):
        table.drop(columns="embedding").to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    else:
        getattr(table, f"to_{suffix[1:]}")(path)
    ids = row_ids(path)
    assert list(ids) == ["image_id", "caption"]
    assert ids["image_id"].tolist() == table["image_id"].tolist()
    assert ids["caption"].tolist() == table["Caption"].tolist()
    assert list(row_ids(path, ["image_id"])) == ["caption"]


def test_arrays_of_ids_are_read_where_they_hold_no_objects() -> None:
    names = np.array([f"item {i}" for i in range(5)])
    np.savez("rows.npz", x=np.ones((5, 2)), ids=names, key=names.astype(object), id=np.ones((5, 2)))
    ids = row_ids(Path("rows.npz"))
    assert {name: array.tolist() for name, array in ids.items()} == {"ids": names.tolist()}
    assert row_ids(Path("rows.npy")) == {}
