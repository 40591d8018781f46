"""Halves of pictures, from miniatures in MNIST's format."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.reading import check_read_once, read
from intrinsic_clip.data.features.halves import ImageHalves
from intrinsic_clip.data.formats.idx import read_idx
from intrinsic_clip.errors import ConfigError

SIZES = {"n_append": 4, "n_test": 8, "batch_size": 4}


def write(path: Path, array: np.ndarray) -> None:
    content = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def make(folder: Path, suffix: str = ".gz", width: int = 6) -> np.ndarray:
    images = np.random.default_rng(0).integers(0, 256, (40, 4, width), np.uint8)
    images[1, :, :3], images[2, :, 3:] = images[0, :, :3], images[1, :, 3:]
    for part, rows in (("train", slice(0, 30)), ("t10k", slice(30, 40))):
        write(folder / f"{part}-images-idx3-ubyte{suffix}", images[rows])
        write(folder / f"{part}-labels-idx1-ubyte{suffix}", np.arange(40, dtype=np.uint8)[rows] % 10)
    return images


@pytest.mark.parametrize(("below", "suffix"), [("", ".gz"), ("FashionMNIST/raw", "")])
def test_halves_belong_together(below, suffix, tmp_path: Path) -> None:
    images = torch.from_numpy(make(tmp_path / "set" / below, suffix)).float() / 255
    data = read(ImageHalves(str(tmp_path / "set"), **SIZES))
    assert (data.d_x, data.d_y, sum(data.sizes.values())) == (12, 12, 40)
    check_read_once(data, tmp_path / "set")
    test, rows = data.pairs("test"), data.rows["test"]
    assert torch.equal(test.x, images[rows, :, :3].flatten(1))
    assert torch.equal(test.y, images[rows, :, 3:].flatten(1))
    assert torch.equal(test.labels["class"], rows % 10)


def test_pictures_of_odd_width_have_a_wider_right_half(tmp_path: Path) -> None:
    make(tmp_path, width=7)
    data = read(ImageHalves(str(tmp_path), **SIZES))
    assert (data.d_x, data.d_y) == (12, 16)


def test_pictures_that_are_equal_in_a_half_stay_together(tmp_path: Path) -> None:
    make(tmp_path)
    for seed in range(6):
        data = read(ImageHalves(str(tmp_path), split_seed=seed, **SIZES))
        homes = {int(row): split for split, rows in data.rows.items() for row in rows}
        assert len({homes[row] for row in range(3) if row in homes}) <= 1


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"no such folder; expected train-images.*: apt-get install dataset-f"
    ):
        read(ImageHalves(str(tmp_path / "absent"), **SIZES))
    with pytest.raises(ConfigError, match=r"holds no train-images-idx3-ubyte or train-images-idx3-ubyte.gz"):
        read(ImageHalves(str(tmp_path), **SIZES))
    make(tmp_path)
    write(tmp_path / "t10k-labels-idx1-ubyte.gz", np.zeros(9, np.uint8))
    with pytest.raises(ConfigError, match=r"pictures of shape \(40, 4, 6\) and labels of shape \(39,\)"):
        read(ImageHalves(str(tmp_path), **SIZES))


def test_what_is_not_in_the_format_is_refused(tmp_path: Path) -> None:
    whole = struct.pack(">HBBI", 0, 8, 1, 3) + b"abc"
    assert (tmp_path / "a").write_bytes(whole)
    assert read_idx(tmp_path / "a").tolist() == [97, 98, 99]
    packed = gzip.compress(whole)
    damaged = [
        b"",
        whole[:5],
        whole[:-1],
        whole + b"d",
        b"\0\0\x0d" + whole[3:],
        packed[:-9],
        packed[:12] + b"\xff" * 9,
    ]
    for content in damaged:
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(ConfigError, match=r"a: damaged, or not"):
            read_idx(tmp_path / "a")
    with pytest.raises(ConfigError, match=r"absent: damaged, or not"):
        read_idx(tmp_path / "absent")
