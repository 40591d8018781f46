"""Rows of any source of features, those of a user's class too, are refused in one line where they are no good."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.reading import read
from intrinsic_clip.data.features.feature_files import FeaturePairs, Features
from intrinsic_clip.data.formats.arrays import Key, read_array
from intrinsic_clip.errors import ConfigError

X = torch.randn(100, 6, generator=torch.Generator().manual_seed(0))
NAN = X.index_fill(0, torch.tensor([3, 5]), float("nan"))
CLASSES = torch.arange(100) % 7


class Spectra(FeaturePairs):
    """A user's source, which gives what it is given."""

    def __init__(self, features: Features) -> None:
        super().__init__(n_append=10, n_test=20, batch_size=16)
        self.features = features

    def read_rows(self) -> Features:
        """Return the rows."""
        return self.features


class SpectraFile(FeaturePairs):
    """A user's source, which reads a file without a word about settings."""

    def __init__(self, file: str, by_array: bool) -> None:
        super().__init__(n_append=10, n_test=20, batch_size=16)
        self.file, self.by_array = file, by_array

    def read_rows(self) -> Features:
        """Read the rows."""
        if self.by_array:
            rows, _ = read_array(Path(self.file), Key(None, option="data.file"))
        else:
            rows = torch.from_numpy(np.load(self.file))
        return Features(rows, rows)


def test_good_rows_are_kept() -> None:
    data = read(Spectra(Features(X, X[:, :2].double(), {"class": CLASSES})))
    assert (data.d_x, data.d_y, data.sizes["train"]) == (6, 2, 70)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "surplus": (
        {"y": torch.cat([X, X[:50]])},
        "x has 100 rows, y has 150 rows; row i of each must belong together",
    ),
    "missing": ({"y": X[:97]}, "x has 100 rows, y has 97 rows; row i of each"),
    "labels": ({"labels": {"a": CLASSES[:9]}}, "x has 100 rows, y has 100 rows, labels.a has 9 rows; row i"),
    "digests": ({"contents": [b"1"]}, "x has 100 rows, y has 100 rows, contents has 1 rows; row i"),
    "nan": (
        {"x": NAN},
        "2 of 100 rows of x hold NaN or infinity; leave them out",
    ),
    "infinite": ({"y": X / 0}, "100 of 100 rows of y hold NaN or infinity"),
    "vector": ({"y": X[:, 0]}, r"y has shape \(100,\), must be \(n, d\) with a row for each pair"),
    "pictures": ({"x": X[:, None]}, r"x has shape \(100, 1, 6\), must be \(n, d\)"),
    "no columns": ({"x": X[:, :0]}, r"x has shape \(100, 0\), must be \(n, d\)"),
    "array": ({"x": X.numpy()}, r"x is of type ndarray, must be a torch.Tensor of shape \(n, d\)"),
    "complex": ({"x": X.to(torch.complex64)}, "x holds complex numbers, must be real"),
    "named classes": (
        {"labels": {"a": ["one"] * 100}},
        r"labels.a is of type list, must be a torch.Tensor of shape",
    ),
    "fractions": (
        {"labels": {"a": X[:, 0]}},
        r"labels.a is torch.float32 of shape \(100,\), must be int64 of shape",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_rows_that_cannot_be_trained_on_are_refused(wrong: str) -> None:
    parts, message = WRONG[wrong]
    with pytest.raises(ConfigError, match=f"^data: Spectra: {message}") as raised:
        read(Spectra(Features(**{"x": X, "y": X, **parts})))
    assert "\n" not in str(raised.value)


def test_numbers_that_single_precision_cannot_hold_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"^data\.y: 100 of 100 rows hold numbers beyond ±3\.4e38, the largest in"
    ):
        read(Spectra(Features(X, X.double() * 1e300)))


@pytest.mark.parametrize("by_array", [False, True])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, by_array: bool) -> None:
    file = tmp_path / "spectra.npy"
    with pytest.raises(ConfigError, match=rf"^data: SpectraFile: {file}: no such file or directory$"):
        read(SpectraFile(str(file), by_array))
