"""Pairs that share a row of x or of y stay in one split, unless rows of y agree by chance or are classes."""

import numpy as np
import pytest
import torch

from helpers.reading import read
from intrinsic_clip.data.features.feature_files import EmbeddingFiles
from intrinsic_clip.data.repeated_rows import contents_of_pairs, row_contents
from intrinsic_clip.data.splits import row_digests, split_by_content

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(600, 6)).astype(np.float32)
IMAGES = RANDOM.normal(size=(120, 4)).astype(np.float32)
OF = np.repeat(np.arange(120), 5)
SIZES = {"n_append": 50, "n_test": 100, "batch_size": 64}


def load(x: np.ndarray, y: np.ndarray, **options) -> EmbeddingFiles:
    np.save("x.npy", x)
    np.save("y.npy", y)
    return read(EmbeddingFiles(x="x.npy", y="y.npy", **{**SIZES, **options}))


def in_two_splits(data: EmbeddingFiles, side: str) -> int:
    """Return how many different rows of a side are held out and trained on."""
    test, train = ({row.numpy().tobytes() for row in getattr(data.pairs(s), side)} for s in ("test", "train"))
    return len(test & train)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_captions_of_an_image_stay_in_one_split(capsys, noise: float) -> None:
    data = load(X, IMAGES[OF], noise_y=noise)
    assert not set(OF[data.rows["test"]]) & {*OF[data.rows["train"]], *OF[data.rows["append"]]}
    told = (
        "data: y: 600 rows are 120 different ones; pairs of equal y stay in one split, as those of equal x do"
    )
    assert told in capsys.readouterr().err
    other_way = load(IMAGES[OF], X)
    assert in_two_splits(other_way, "x") == 0


def test_pairs_are_linked_over_both_sides() -> None:
    of_x = np.arange(600) // 3  # 3 rows of x and 5 of y: chains of 15
    data = load(X[of_x], IMAGES[OF])
    assert in_two_splits(data, "x") == in_two_splits(data, "y") == 0


CHANCE = {
    "classes": (np.eye(10)[np.arange(600) % 10], "10 different ones, 60 of each on average, as of classes"),
    "prompts": (IMAGES[np.arange(600) % 60], "60 different ones, 10 of each on average, as of classes"),
    "counts": (np.stack([np.arange(600) % 40, np.arange(600) % 3], 1), "of whole numbers or few values"),
    "one image of many": (
        np.where(np.arange(600)[:, None] < 40, 0, np.c_[X, X][:, :9]),
        "would tie 40 pairs",
    ),
}


@pytest.mark.parametrize("case", CHANCE)
def test_rows_that_agree_by_chance_are_not_linked(capsys, case: str) -> None:
    y, reason = CHANCE[case]
    y = y.astype(np.float32)
    contents, notes = contents_of_pairs(torch.from_numpy(X), torch.from_numpy(y))
    assert contents == row_contents(torch.from_numpy(X))
    assert len(notes) == 1
    assert reason in notes[0]
    assert notes[0].endswith("; pairs of equal y can be in two splits")


def test_splits_without_repeats_are_those_of_x() -> None:
    x, y = torch.from_numpy(X), torch.from_numpy(X[:, :4].copy())
    assert contents_of_pairs(x, y) == (row_digests(x), [])
    both = torch.cat([x, x]), torch.cat([y, y])  # whole pairs that repeat
    assert contents_of_pairs(*both) == (row_digests(both[0]), [])


@pytest.mark.parametrize("standardise", [False, True])
def test_files_of_the_same_numbers_are_split_alike(standardise: bool) -> None:
    single = load(X, IMAGES[OF], standardise=standardise).rows
    double = load(X.astype(np.float64), IMAGES[OF].astype(np.float64), standardise=standardise).rows
    half = X.astype(np.float16)
    assert all(torch.equal(single[split], double[split]) for split in single)
    assert row_contents(torch.from_numpy(half)) == row_contents(torch.from_numpy(half.astype(np.float64)))


def test_zero_has_no_sign() -> None:
    zero, negative = X.copy(), X.copy()
    zero[:, 0], negative[:, 0] = 0.0, -0.0
    assert row_contents(torch.from_numpy(zero)) == row_contents(torch.from_numpy(negative))


def test_rows_that_rounding_makes_equal(capsys) -> None:
    x = np.arange(600)[:, None] / 64 + 1e9 + np.zeros((1, 3))
    data = load(x, X, standardise=True)
    assert "different" not in capsys.readouterr().err
    assert data.sizes == {"train": 450, "append": 50, "test": 100}
    contents, notes = contents_of_pairs(torch.from_numpy(x), torch.from_numpy(X))
    assert len(set(contents)) < 10
    assert notes[0].startswith("x: 600 different rows are ")
    assert "data.standardise=true subtracts the mean before" in notes[0]


def test_sizes_of_linked_pairs() -> None:
    contents, _ = contents_of_pairs(torch.from_numpy(X), torch.from_numpy(IMAGES[OF]))
    split = split_by_content(contents, {"train": None, "append": 50, "test": 100}, 0)
    assert {name: len(rows) for name, rows in split.items()} == {"train": 450, "append": 50, "test": 100}
