"""Ids of two files are the same, the same in another order, or others."""

import unicodedata
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from intrinsic_clip.data.formats.compared_ids import difference
from intrinsic_clip.data.formats.row_ids import row_ids

LARGE = 2**60 + 1 + np.arange(380)
SWAPPED = LARGE.reshape(-1, 2)[:, ::-1].reshape(-1)
MISSING = pd.array([None, *LARGE[1:]], dtype="Int64")
SAME = {
    "whole numbers of two types": (LARGE, LARGE.astype(np.uint64)),
    "whole numbers and floating point": (np.arange(5), np.arange(5.0)),
    "missing numbers": (np.array([1, np.nan]), np.array([1, np.nan])),
    "missing whole numbers and floating point": (np.array([1, None], object), np.array([1, np.nan])),
    "texts and objects": (np.array(["a", "b"]), np.array(["a", "b"], object)),
    "missing texts": (np.array(["a", None], object), np.array(["a", None], object)),
    "numbers and their texts": (np.arange(3), np.array(["0", "1", "2"], object)),
    "numbers and texts with zeros before them": (np.arange(3), np.array(["000", "001", "002"])),
    "texts and floating point": (np.array(["4", "5"], object), np.array([4.0, 5.0])),
}


@pytest.mark.parametrize("texts", [["007", "008", "009"], np.array(["7", "8", "9"], object)])
@pytest.mark.parametrize("kind", [np.int32, np.float64])
def test_numbers_and_texts_in_another_order(texts, kind) -> None:
    found = difference(np.array(texts), np.array([8, 7, 9], kind))
    assert found is not None
    assert (found.differing, found.reordered) == (2, True)


def test_fractions_are_not_cut() -> None:
    assert difference(np.array([Decimal("1.5"), Decimal("2.0")]), np.array([1, 2])) is not None


@pytest.mark.parametrize("written", ["npz", "parquet"])
def test_bytes_are_compared_as_texts(written: str) -> None:
    names = np.array([f"é {place}".encode() for place in range(6)])
    if written == "npz":
        np.savez("one.npz", x=np.ones((6, 2)), id=names)
    else:
        pd.DataFrame({"id": names.tolist(), "d0": np.arange(6.0)}).to_parquet("one.parquet")
    texts = np.array([f"é {place}" for place in range(6)])
    ids = row_ids(Path(f"one.{written}"))["id"]
    assert difference(ids, texts) is None
    found = difference(ids, texts[::-1])
    assert found is not None
    assert (found.values, found.reordered) == (("é 0", "é 5"), True)


@pytest.mark.parametrize("case", SAME)
def test_the_same_ids(case: str) -> None:
    assert difference(*SAME[case]) is None


@pytest.mark.parametrize("kind", [np.int64, np.uint64, object, str])
def test_ids_of_64_bits_in_another_order(kind: type) -> None:
    found = difference(LARGE, SWAPPED.astype(kind))
    assert found is not None
    assert (found.differing, found.row, found.reordered) == (380, 0, True)
    assert found.values == (str(2**60 + 1), str(2**60 + 2))


def test_other_ids_are_not_the_same_in_another_order() -> None:
    found = difference(np.arange(6), np.array([0, 1, 3, 2, 4, 9]))
    assert found is not None
    assert (found.differing, found.row, found.reordered) == (3, 2, False)


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_ids_of_a_column_with_missing_ones_keep_all_digits(suffix: str) -> None:
    for name, ids in {"one": MISSING, "other": MISSING[[0, *range(379, 0, -1)]]}.items():
        frame = pd.DataFrame({"id": ids, "d0": np.arange(380.0)})
        getattr(frame, f"to_{suffix}")(f"{name}.{suffix}")
    one, other = (row_ids(Path(f"{name}.{suffix}"))["id"] for name in ("one", "other"))
    assert difference(one, one) is None
    found = difference(one, other)
    assert found is not None
    assert found.reordered


@pytest.mark.parametrize("other", ["{:<12}", "  {}", "{}\u00a0"])
def test_spaces_around_texts_make_no_other_ids(other: str) -> None:
    ids = np.array([f"item {place}" for place in range(20)], object)
    padded = np.array([other.format(each) for each in ids], object)
    assert difference(ids, padded) is None
    found = difference(ids, padded[::-1])
    assert found is not None
    assert found.reordered


def test_accents_of_two_characters_are_those_of_one() -> None:
    ids = np.array(["caf\u00e9.jpg", "\u00fcber.jpg", "plain.jpg"])
    apart = np.array([unicodedata.normalize("NFD", each) for each in ids])
    assert (ids != apart).any()
    assert difference(ids, apart) is None
    found = difference(ids, apart[::-1])
    assert found is not None
    assert found.reordered
    assert difference(ids, np.char.upper(ids)) is not None
