"""Packed tables of numbers are read block by block: the same rows, notes and errors as whole."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
import torch

from helpers.in_parts import check_in_parts, result
from intrinsic_clip.data.formats import arrow_numbers
from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.arrays import open_array, read_array
from intrinsic_clip.data.formats.batched_rows import whole
from intrinsic_clip.data.formats.column_choice import ColumnChoice
from intrinsic_clip.errors import ConfigError

DRAW = np.random.default_rng(0)
N = 130
TABLE = pd.DataFrame(DRAW.normal(size=(N, 6)).astype(np.float32), columns=[f"d{i}" for i in range(6)])
GAPS = TABLE.where(DRAW.random(TABLE.shape) > 0.1)
COUNTED = pd.array([None, *range(1, N)], dtype="Int64")
FRACTIONS = pd.array([None, *DRAW.normal(size=N - 1)], dtype="Float32")

IN_PARTS: dict[str, pd.DataFrame] = {
    "plain": TABLE,
    "half precision": TABLE.astype(np.float16),
    "half precision with gaps": GAPS.astype(np.float16),
    "several precisions": TABLE.astype({"d1": np.float16, "d4": np.float64}),
    "an index": TABLE.set_index(DRAW.permutation(N)),
    "a named index": TABLE.set_index(pd.Index([f"image {i}" for i in range(N)], name="d9")),
    "names": TABLE.assign(file=[f"image {i}.png" for i in range(N)]),
    "ids": TABLE.assign(id=DRAW.permutation(N) * 7),
    "classes": TABLE.assign(label=np.arange(N) % 3),
    "categories": TABLE.assign(kind=pd.Categorical(["cat", "dog"] * (N // 2))),
    "flags": TABLE.assign(train=np.arange(N) > 50),
    "dates": TABLE.assign(when=pd.date_range("2020", periods=N)),
    "a fraction that comes late": TABLE.assign(d6=[0] * (N - 1) + [0.5]),
    "a column of zeros": TABLE.assign(d6=0.0),
    "whole numbers among others": TABLE.assign(d6=DRAW.integers(-99, 99, N, np.int8)),
    "whole numbers with gaps": TABLE.assign(n=COUNTED),
    "fractions with gaps": TABLE.assign(d6=FRACTIONS),
    "missing values": GAPS,
    "headings that are numbers": TABLE.set_axis(range(6), axis=1),
    "headings in two rows": TABLE.set_axis(pd.MultiIndex.from_product([["a", "b"], [1, 2, 3]]), axis=1),
    "headings with dots": TABLE.set_axis(["d", "d.x", "d.x.y", "e", "e.x", "f"], axis=1),
    "texts that are no dimension": TABLE.assign(q=[f"a cat, {i}" for i in range(N)]),
    "no rows": TABLE.iloc[:0],
}
WHOLE: dict[str, pd.DataFrame] = {
    "whole numbers alone": (10 * TABLE).astype(int),
    "flags alone": TABLE > 0,
    "objects among numbers": TABLE.assign(z=[{"a": 1}] * N),
    "lists among numbers": TABLE.assign(v=[[i, i + 1] for i in range(N)]),
    "lists": pd.DataFrame({"v": [list(range(i, i + 3)) for i in range(N)]}),
    "lists written out": pd.DataFrame({"v": [str(row) for row in TABLE.to_numpy().tolist()]}),
    "no columns": TABLE[[]],
}


NEITHER = "are neither lists of floats nor numbers alone, with fractions"


def written(table: pd.DataFrame, name: str) -> Path:
    """Write a table in parts of a few rows."""
    path = Path(name)
    if path.suffix == ".parquet":
        table.to_parquet(path, row_group_size=40)
    elif path.suffix == ".feather":
        feather.write_feather(table, path, chunksize=40)
    else:
        packed = pa.Table.from_pandas(table)
        with pa.ipc.new_stream(path, packed.schema) as stream:
            stream.write_table(packed, max_chunksize=40)
    return path


@pytest.mark.parametrize("name", ["x.parquet", "x.feather", "x.arrow"])
@pytest.mark.parametrize("case", IN_PARTS)
def test_the_same_in_parts_as_whole(case: str, name: str) -> None:
    path = written(IN_PARTS[case], name)
    assert check_in_parts(path)
    if set(TABLE) <= set(IN_PARTS[case]):
        assert check_in_parts(path, ColumnChoice(drop=["d1"]))
        assert check_in_parts(path, ColumnChoice(columns=["d[24]"]))


@pytest.mark.parametrize("name", ["x.parquet", "x.feather", "x.arrow"])
@pytest.mark.parametrize("case", WHOLE)
def test_other_tables_are_read_whole(case: str, name: str) -> None:
    assert not check_in_parts(written(WHOLE[case], name))


def test_a_column_twice_and_a_key_are_left_to_the_reader_of_whole_tables() -> None:
    columns = [TABLE[name].to_numpy() for name in TABLE]
    pq.write_table(pa.table(columns, ["a", "b", "c", "d", "e", "a"]), "x.parquet")
    assert open_array(Path("x.parquet")) is None
    path = written(TABLE, "y.parquet")
    assert open_array(path, Key("d1")) is None
    with pytest.raises(ConfigError, match="holds no 'd1'"):
        read_array(path, Key("d1"))


def test_columns_that_are_held_whole_are_bounded(monkeypatch, capsys) -> None:
    monkeypatch.setattr(arrow_numbers, "HELD", 1000)
    assert not check_in_parts(written(TABLE.assign(d6=0.0, d7=1.0), "x.parquet"))
    assert (
        "x.parquet: is read whole, since many columns hold whole numbers or texts" in capsys.readouterr().err
    )


def collected(table: pd.DataFrame, kind: str) -> Path:
    """Write a table as a data set on disk of two files, as `save_to_disk` does, or as a table of Lance."""
    path, packed = Path(kind), pa.Table.from_pandas(table)
    if kind == "x.lance":
        pytest.importorskip("lance").write_dataset(packed, path, max_rows_per_file=50)
        return path
    path.mkdir()
    names = ("first.arrow", "second.arrow")
    for name, part in zip(names, (packed[:70], packed[70:]), strict=True):
        with pa.ipc.new_stream(path / name, packed.schema) as stream:
            stream.write_table(part, max_chunksize=40)
    (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    return path


@pytest.mark.parametrize("kind", ["folder", "x.lance"])
@pytest.mark.parametrize("case", IN_PARTS)
def test_collections_of_numbers_are_read_as_a_file_is(case: str, kind: str) -> None:
    if kind == "x.lance" and "dots" in case:
        pytest.skip("Lance has no names with dots")
    path = collected(IN_PARTS[case], kind)
    expected, opened = result(read_array, written(IN_PARTS[case], "x.arrow")), result(open_array, path)
    if isinstance(expected, str):
        assert opened == expected
        return
    (rows, notes), (source, given) = expected, opened
    assert [note for note in given if "index that pandas wrote" not in note] == notes
    np.testing.assert_array_equal(whole(source).numpy(), rows.double().numpy())
    chosen = torch.tensor([len(rows) - 1, 0, 0])
    np.testing.assert_array_equal(source.take(chosen).numpy(), rows[chosen].double().numpy())


@pytest.mark.parametrize(
    ("table", "key", "says"),
    [
        ((10 * TABLE).astype(int), None, f"{NEITHER}$"),
        (
            TABLE.assign(z=[{"a": 1}] * N),
            None,
            f"{NEITHER}; columns=… reads columns of numbers that it names$",
        ),
        (TABLE, "d1", r"'d1' \(x_key\) is not a column of lists of numbers$"),
        (
            TABLE.assign(d6=0.0, d7=1.0),
            None,
            "^many columns hold whole numbers or texts, more than are held; columns=",
        ),
    ],
)
def test_collections_that_cannot_be_read_say_why(
    table: pd.DataFrame, key: str, says: str, monkeypatch
) -> None:
    monkeypatch.setattr(arrow_numbers, "HELD", 1000)
    with pytest.raises(ConfigError, match=says):
        open_array(collected(table, "folder"), Key(key, "x_key"))


@pytest.mark.parametrize("name", ["x.parquet", "x.feather"])
def test_a_damaged_file_is_named(name: str) -> None:
    path = written(TABLE, name)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle - 600 : middle] = bytes(600)
    path.write_bytes(bytes(content))
    with pytest.raises(ConfigError, match="damaged"):
        _read_in_blocks(path)


def _read_in_blocks(path: Path) -> None:
    source, _ = open_array(path) or pytest.fail("not opened")
    list(source.blocks(10))
