"""Lists in .parquet files that are read block by block."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.arrays import open_array, read_array
from intrinsic_clip.data.formats.batched_rows import whole
from intrinsic_clip.data.formats.column_choice import ColumnChoice
from intrinsic_clip.data.formats.parquet_rows import ParquetRows, parquet_rows
from intrinsic_clip.errors import ConfigError

ROWS = np.random.default_rng(0).normal(size=(9000, 7)).astype(np.float32)


def written(path: Path, column: pa.Array, **options: int) -> Path:
    """Write a table with an id beside the column."""
    pq.write_table(pa.table({"id": np.arange(len(column)), "emb": column}), path, **options)
    return path


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("fixed", [True, False])
def test_blocks_and_rows_are_those_of_the_array(tmp_path, dtype, fixed) -> None:
    rows = ROWS.astype(dtype)
    flat = pa.array(rows.ravel())
    column = (
        pa.FixedSizeListArray.from_arrays(flat, 7)
        if fixed
        else pa.ListArray.from_arrays(np.arange(9001, dtype=np.int32) * 7, flat)
    )
    opened = open_array(written(tmp_path / "x.parquet", column, row_group_size=2500))
    assert opened is not None
    source, notes = opened
    assert isinstance(source, ParquetRows)
    assert notes == ["column 'emb' is read, id left out"]
    assert source.shape == (9000, 7)
    assert source.dtype == torch.from_numpy(rows).dtype
    starts, blocks = zip(*source.blocks(1000), strict=True)
    assert starts == tuple(range(0, 9000, 1000))
    assert np.array_equal(torch.cat(blocks).numpy(), rows)
    chosen = torch.tensor([8999, 0, 2500, 2499, 17, 17])
    assert np.array_equal(source.take(chosen).numpy(), rows[chosen.numpy()])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64])
@pytest.mark.parametrize("gaps", [False, True])
def test_lists_of_whole_numbers_are_read_where_they_are_named(tmp_path, dtype, gaps) -> None:
    rows = np.abs(30 * ROWS[:300]).astype(dtype)
    lists = [None if gaps and place == 5 else row.tolist() for place, row in enumerate(rows)]
    column = pa.array(lists, pa.list_(pa.from_numpy_dtype(dtype)))
    path = written(tmp_path / "x.parquet", column, row_group_size=100)
    assert open_array(path) is None  # they may be token ids
    source, notes = open_array(path, Key("emb")) or pytest.fail("not opened")
    expected, said = read_array(path, Key("emb"))
    assert source.dtype == expected.dtype
    assert np.array_equal(whole(source).numpy(), expected.numpy(), equal_nan=True)
    assert notes == [note for note in said if "are empty" not in note]


def test_empty_cells_are_nan_and_other_lengths_are_refused(tmp_path) -> None:
    lists = [None if i == 5 else row.tolist() for i, row in enumerate(ROWS[:20])]
    source, _ = parquet_rows(
        written(tmp_path / "x.parquet", pa.array(lists, pa.list_(pa.float32()))), Key(), ColumnChoice()
    )
    rows = source.take(torch.arange(20))
    assert rows.isnan().all(1).nonzero().flatten().tolist() == [5]
    lists[10] = [1.0]
    path = written(tmp_path / "y.parquet", pa.array(lists, pa.list_(pa.float32())))
    with pytest.raises(ConfigError, match="column 'emb' holds lists of other lengths than 7"):
        parquet_rows(path, Key(), ColumnChoice())[0].take(torch.arange(20))


def test_what_is_no_table_of_fractions_is_left_to_other_readers(tmp_path) -> None:
    numbers = tmp_path / "numbers.parquet"
    pq.write_table(pa.table({"a": np.arange(9), "b": np.arange(9) % 3}), numbers)
    assert open_array(numbers) is None
    (tmp_path / "x.csv").write_text("1,2\n")
    assert open_array(tmp_path / "x.csv") is None
    np.save(tmp_path / "counts.npy", np.ones((5, 5), np.uint16))
    assert open_array(tmp_path / "counts.npy") is None
    (tmp_path / "bad.parquet").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=r"damaged, or not a \.parquet file"):
        open_array(tmp_path / "bad.parquet")


@pytest.mark.parametrize("kind", ["list", "fixed", "float16"])
@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_missing_vectors_may_come_first(tmp_path, kind, suffix) -> None:
    rows = ROWS[:30].astype(np.float16 if kind == "float16" else np.float32)
    lists = [None if place < 12 else row.tolist() for place, row in enumerate(rows)]
    numbers = pa.float16() if kind == "float16" else pa.float32()
    table = pa.table({"v": pa.array(lists, pa.list_(numbers, ROWS.shape[1] if kind == "fixed" else -1))})
    path = tmp_path / f"x{suffix}"
    if suffix == ".parquet":
        pq.write_table(table, path, row_group_size=5)
    else:
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table, max_chunksize=5)
    opened = open_array(path)
    assert opened is not None
    source = opened[0]
    assert source.shape == (30, ROWS.shape[1])
    expected = np.where(np.arange(30)[:, None] < 12, np.nan, rows)
    np.testing.assert_array_equal(whole(source).numpy(), expected)
    np.testing.assert_array_equal(source.take(torch.tensor([20, 3])).numpy(), expected[[20, 3]])


@pytest.mark.parametrize(
    ("lists", "message"), [([None] * 5, "column 'emb' is empty"), ([[]] * 5, "holds shape (5, 0) where")]
)
def test_a_column_without_any_vector_is_refused(tmp_path, lists, message) -> None:
    path = written(tmp_path / "x.parquet", pa.array(lists, pa.list_(pa.float32())))
    assert open_array(path) is None
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_array(path)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_lists_in_two_columns_of_one_name_are_refused(tmp_path, suffix) -> None:
    lists = pa.array(ROWS[:5].tolist(), pa.list_(pa.float32()))
    table, path = pa.Table.from_arrays([lists, lists], names=["v", "v"]), tmp_path / f"x{suffix}"
    if suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table)
    with pytest.raises(ConfigError, match=r"^has 2 columns 'v'; must have one"):
        open_array(path)
