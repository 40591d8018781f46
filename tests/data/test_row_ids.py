"""Columns and arrays that name rows, in the formats that have room for them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from intrinsic_clip.data.formats import number_tables
from intrinsic_clip.data.formats.arrays import read_array
from intrinsic_clip.data.formats.compared_ids import difference
from intrinsic_clip.data.formats.number_tables import read_number_table
from intrinsic_clip.data.formats.row_ids import id_names, row_ids


@pytest.fixture
def table() -> pd.DataFrame:
    rows = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    frame = pd.DataFrame(rows, columns=["d0", "d1", "d2"])
    frame.insert(0, "image_id", np.arange(30) * 7)
    frame.insert(1, "Caption", [f"text{i}" for i in range(30)])
    frame.insert(2, "timestamp", np.arange(30))
    frame["embedding"] = list(rows)
    return frame


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".arrow", ".ipc", ".csv", ".tsv", ".lance"])
def test_columns_of_ids_are_read_and_dropped_ones_are_not(table, suffix) -> None:
    path = Path(f"rows{suffix}")
    if suffix in (".csv", ".tsv"):
        table.drop(columns="embedding").to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    elif suffix == ".ipc":
        whole = pa.Table.from_pandas(table)
        with pa.ipc.new_stream(path, whole.schema) as stream:
            stream.write_table(whole)
    elif suffix == ".lance":
        pytest.importorskip("lance").write_dataset(pa.Table.from_pandas(table), str(path))
    else:
        (table.to_parquet if suffix == ".parquet" else table.to_feather)(path)
    ids = row_ids(path)
    assert list(ids) == ["image_id", "caption"]
    assert ids["image_id"].tolist() == table["image_id"].tolist()
    assert ids["caption"].tolist() == table["Caption"].tolist()
    assert id_names(path, ["image_id"]) == ["caption"]


def test_arrays_of_ids_are_read_where_they_hold_no_objects() -> None:
    names = np.array([f"item {i}" for i in range(5)])
    np.savez("rows.npz", x=np.ones((5, 2)), ids=names, key=names.astype(object), id=np.ones((5, 2)))
    ids = row_ids(Path("rows.npz"))
    assert {name: array.tolist() for name, array in ids.items()} == {"ids": names.tolist()}
    assert row_ids(Path("rows.npy")) == {}


def _numbered(values: list[str], row: int, value: str) -> list[str]:
    return [*values[:row], value, *values[row + 1 :]]


NAMES = [f"item {i}" for i in range(30)]
IN_PARTS: dict[
    str, tuple[list[str], str, bool]
] = {  # names, what to put at the end of line 20, read in parts
    "texts": (NAMES, "", True),
    "numbers": ([str(7 * i) for i in range(30)], "", True),
    "numbers, one missing": (_numbered([str(7 * i) for i in range(30)], 17, ""), "", True),
    "texts, one of them a number": (_numbered(NAMES, 17, "99"), "", True),
    "texts, with a part of numbers": ([*NAMES[:10], *map(str, range(5)), *NAMES[15:]], "", False),
    "texts in quotation marks": ([f'"a cat, {i}"' for i in range(30)], "", True),
    "a heading repeated": (NAMES, "\nid,d0,d1", False),
    "a line with a field too many": (NAMES, ",", False),
    "blank lines": (NAMES, "\n\n", True),
}


@pytest.mark.parametrize("case", IN_PARTS)
def test_names_read_in_parts_are_those_read_whole(monkeypatch, case: str) -> None:
    names, end, in_parts = IN_PARTS[case]
    numbers = np.random.default_rng(0).normal(size=(30, 2)).round(3)
    lines = ["id,d0,d1", *(f"{name},{a},{b}" for name, (a, b) in zip(names, numbers, strict=True))]
    lines[20] += end
    Path("rows.csv").write_text("\n".join(lines) + "\n")
    whole = read_number_table(Path("rows.csv"))[0].iloc[:, 0]
    sizes, read = [], number_tables._read
    monkeypatch.setattr(number_tables, "READ", 3 * 5)
    monkeypatch.setattr(number_tables, "_read", lambda *arguments: sizes.append(1) or read(*arguments))
    ids = row_ids(Path("rows.csv"))["id"]
    assert (len(sizes) == 0) is in_parts
    np.testing.assert_array_equal(ids, whole.to_numpy())


def test_large_ids_beside_missing_ones_are_told_apart() -> None:
    for name, last in (("one", 2**53), ("other", 2**53 + 1)):  # the same number in floating point
        Path(f"{name}.csv").write_text(f"id,d0,d1\n1,0.5,1\n,0.25,2\n{last},1.5,3\n")
    one, other = (row_ids(Path(f"{name}.csv"))["id"] for name in ("one", "other"))
    found = difference(one, other)
    assert found is not None
    assert (found.differing, found.row, found.values) == (1, 2, (str(2**53), str(2**53 + 1)))
    Path("small.csv").write_text("id,d0,d1\n1,0.5,1\n,0.25,2\n3,1.5,3\n")
    np.testing.assert_array_equal(row_ids(Path("small.csv"))["id"], [1, np.nan, 3])


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".csv"])
def test_columns_of_one_name(suffix) -> None:
    names = [f"item {i}" for i in range(12)]
    numbers = np.random.default_rng(0).normal(size=(3, 12))
    columns = [pa.array(names), pa.array(names[::-1]), *map(pa.array, numbers)]
    path = Path(f"rows{suffix}")
    table = pa.table(columns, names=["id", "id", "a", "a", "b"])
    if suffix == ".csv":
        table.to_pandas().to_csv(path, index=False)
    else:
        (pq.write_table if suffix == ".parquet" else feather.write_feather)(table, path)
    assert (
        row_ids(path).get("id", np.array(names)).tolist() == names
    )  # where they can be told apart, the first
    np.testing.assert_allclose(read_array(path)[0].numpy(), numbers.T)
