"""Files of the published experiment, in its formats and under its names."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.reading import check_read_once, read
from helpers.tiny_runs import TINY
from intrinsic_clip.data.features.published import PublishedFeatures
from intrinsic_clip.errors import ConfigError

SIZES = {"n_train": 40, "n_append": 8, "n_test": None, "batch_size": 20}
GENERATOR = np.random.default_rng(0)
X, Y = GENERATOR.normal(size=(60, 6)).astype(np.float32), GENERATOR.normal(size=(60, 4)).astype(np.float32)
CLASSES = np.arange(60) % 7


def images_and_texts(folder: Path, joint: bool) -> Path:
    folder.mkdir(exist_ok=True)
    rows = {"image_embeds": X + joint, "label_embeds": Y, "class": CLASSES}
    for part, array in rows.items():
        np.save(folder / f"imagenetv2_{part}_{joint}_10000.npy", array)
    return folder


def cells(folder: Path) -> Path:
    """Write tables as R does, with the names of cells in a first column without a heading."""
    folder.mkdir()
    names = [f"a_AAAC{i}-1" for i in range(60)]
    pd.DataFrame(X, names, [f"PC_{i + 1}" for i in range(6)]).to_csv(folder / "rna_pca.csv")
    pd.DataFrame(Y, names, [f"APC_{i + 1}" for i in range(4)]).to_csv(folder / "adt_pca.csv")
    for file, kinds in (("lab1.csv", 2), ("lab2.csv", 5)):
        labels = [f"type {i % kinds}" for i in range(60)]
        pd.DataFrame({"x": labels}, range(1, 61)).to_csv(folder / file)
    return folder


def _rows(data: PublishedFeatures, side: str) -> torch.Tensor:
    rows = torch.cat([getattr(data.pairs(split), side) for split in ("train", "append", "test")])
    order = torch.cat([data.rows[split] for split in ("train", "append", "test")])
    return rows[order.argsort()]


def test_images_and_texts(tmp_path) -> None:
    data = read(PublishedFeatures(str(images_and_texts(tmp_path / "imagenetv2", False)), **SIZES))
    assert torch.equal(_rows(data, "x"), torch.from_numpy(X))
    assert torch.equal(_rows(data, "y"), torch.from_numpy(Y))
    test = data.pairs("test")
    assert test.labels["class"].tolist() == CLASSES[data.rows["test"]].tolist()
    check_read_once(data, tmp_path / "imagenetv2")


def test_cells_with_their_names(tmp_path) -> None:
    data = read(PublishedFeatures(str(cells(tmp_path / "citeseq")), **SIZES))
    torch.testing.assert_close(_rows(data, "x"), torch.from_numpy(X))
    torch.testing.assert_close(_rows(data, "y"), torch.from_numpy(Y))
    rows = data.rows["train"]
    assert data.pairs("train").labels["coarse"].tolist() == (rows % 2).tolist()
    assert data.pairs("train").labels["fine"].tolist() == (rows % 5).tolist()


def test_joint_chooses_between_two_files(tmp_path) -> None:
    for joint in (True, False):
        folder = str(images_and_texts(tmp_path / "imagenetv2", joint))
    with pytest.raises(ConfigError, match=r"_False_10000.npy and .*_True_10000.npy; data.joint=… says which"):
        read(PublishedFeatures(folder, **SIZES))
    shifted = read(PublishedFeatures(folder, joint=True, **SIZES))
    assert torch.equal(_rows(shifted, "x"), torch.from_numpy(X + True))


def test_missing_files_are_named(tmp_path) -> None:
    for absent, message in {
        "imagenetv2_class_True_10000.npy": r"holds no imagenetv2_class_True_10000.npy",
        "imagenetv2_image_embeds_True_10000.npy": r"holds no rna_pca.csv, and no <set>_image_embeds_<joint>_<n>.npy",
    }.items():
        folder = images_and_texts(tmp_path / "imagenetv2", True)
        (folder / absent).unlink()
        with pytest.raises(ConfigError, match=message):
            read(PublishedFeatures(str(folder), **SIZES))
    with pytest.raises(
        ConfigError, match=r"there is no such folder; expected rna_pca.csv, or <set>_image_embeds"
    ):
        read(PublishedFeatures(str(tmp_path / "absent"), **SIZES))


@pytest.mark.slow
def test_from_the_command_line(command_line, tmp_path) -> None:
    images_and_texts(tmp_path / "imagenetv2", True)
    sizes = [f"data.{key}={value}" for key, value in SIZES.items() if value is not None]
    overrides = [override for override in TINY if not override.startswith("data.")]
    overrides += [
        "data=published",
        "data.folder=imagenetv2",
        "data.noise_y=0.1",
        *sizes,
        "probes.dimension.k=5",
    ]
    assert command_line("train", *overrides) == 0
