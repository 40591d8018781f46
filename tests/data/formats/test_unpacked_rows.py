"""Files that take long to decode are decoded once, where the disk has room for their numbers."""

import gc
import os
import shutil
import tempfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import feather, parquet

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.arrays import open_array
from intrinsic_clip.data.formats.unpacked_rows import UnpackedRows, unpacked
from intrinsic_clip.errors import ConfigError

N, D = 5000, 7


@pytest.fixture(params=["float16", "float32", "float64"])
def rows(request) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, D)).astype(request.param)


def opened(rows: np.ndarray, suffix: str) -> UnpackedRows:
    """Write the rows in a format, and return them as `measure` reads them."""
    path = Path(f"x{suffix}")
    table = pa.table({"x": pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), D)})
    if suffix == ".npz":
        np.savez_compressed(path, x=rows)
    elif suffix == ".parquet":
        parquet.write_table(table, path, row_group_size=900)
    else:
        feather.write_feather(table, path, chunksize=900)
    source = unpacked(open_array(path)[0], path.name)
    assert isinstance(source, UnpackedRows)
    return source


def in_order(source, size: int = 700) -> np.ndarray:
    return torch.cat([block.clone() for _, block in source.blocks(size)]).numpy()


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".npz"])
def test_later_passes_do_not_touch_the_file(rows, suffix, capsys) -> None:
    source = opened(rows, suffix)
    asked = torch.tensor([4999, 3, 3, 1200])
    assert np.array_equal(source.take(asked).numpy(), rows[asked.numpy()])
    assert "temporary" not in capsys.readouterr().err
    assert np.array_equal(in_order(source), rows)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "go to a temporary file in" in said

    gc.collect()
    Path(f"x{suffix}").unlink()
    assert (source.shape, source.dtype) == ((N, D), torch.from_numpy(rows).dtype)
    for size in (1, 4999, 10_000):
        assert np.array_equal(in_order(source, size), rows)
    assert np.array_equal(source.take(asked).numpy(), rows[asked.numpy()])
    assert capsys.readouterr().err == ""


def test_a_pass_that_ends_early_counts_for_nothing(rows) -> None:
    source = opened(rows, ".parquet")
    first, second = source.blocks(600), source.blocks(800)
    next(first)
    assert np.array_equal(next(second)[1].numpy(), rows[:800])  # beside the pass that writes
    first.close()
    assert np.array_equal(in_order(source), rows)
    assert np.array_equal(in_order(source, 999), rows)


@pytest.mark.parametrize("when", ["before", "while writing", "at the end"])
def test_without_room_every_pass_decodes(rows, when, monkeypatch, capsys) -> None:
    source = opened(rows, ".parquet")
    if when == "before":
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10, 10, 0))
    else:
        buffer = 2**20 if when == "at the end" else 0
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: open("/dev/full", "r+b", buffer))  # noqa: SIM115
    for _ in range(2):
        assert np.array_equal(in_order(source), rows)
    said = [line for line in capsys.readouterr().err.splitlines() if "decoded anew in every pass" in line]
    assert len(said) == 1
    assert ("TMPDIR=FOLDER" if when == "before" else "No space left") in said[0]


def test_files_of_plain_numbers_stay_where_they_are(rows) -> None:
    np.save("x.npy", rows)
    source = open_array(Path("x.npy"))[0]
    assert unpacked(source, "x.npy") is source


def test_an_npz_that_is_cut_short_while_it_is_read_is_told_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=np.random.default_rng(0).normal(size=(2000, 64)))
    opened = open_array(path, Key(None, "x_key"))
    assert opened is not None
    os.truncate(path, 200_000)
    with pytest.raises(ConfigError, match=r"^damaged, or not an \.npz file \(\w.*\)$"):
        list(opened[0].blocks(100))
