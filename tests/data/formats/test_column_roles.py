"""Columns of a table that are no dimensions are left out and named; columns= and drop= choose."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.in_parts import check_in_parts
from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.arrays import read_array
from intrinsic_clip.data.formats.column_choice import ColumnChoice
from intrinsic_clip.dimension import mle
from intrinsic_clip.errors import ConfigError

DRAW = np.random.default_rng(0)
N = 1000
X = (DRAW.normal(size=(N, 3)) @ np.linalg.qr(DRAW.normal(size=(12, 3)))[0].T).astype(np.float32)
TABLE = pd.DataFrame(X, columns=[f"d{i}" for i in range(12)])
ORDER = DRAW.permutation(N)
CLASSES = DRAW.integers(0, 10, N)


def read(table: pd.DataFrame, index: bool = False, **options) -> tuple[np.ndarray, list[str]]:
    table.to_csv("x.csv", index=index, **options)
    check_in_parts(Path("x.csv"))
    rows, notes = read_array(Path("x.csv"))
    return rows.numpy(), [note for note in notes if note != "the first line is read as a header"]


@pytest.mark.parametrize(
    ("rows", "dimension"), [(ORDER, 3.056), (np.arange(N)[::2], 3.012), (ORDER[ORDER % 2 == 0], 3.012)]
)
def test_the_index_of_a_part_of_a_table_is_no_dimension(rows, dimension: float) -> None:
    read(TABLE.iloc[rows], index=True)
    points, notes = read_array(Path("x.csv"))
    assert np.allclose(points.numpy(), X[rows], atol=1e-6)
    assert "the first column is the index that pandas wrote" in notes[1]
    assert float(mle(points).value) == pytest.approx(dimension, abs=0.001)


LEFT_OUT = {
    "an index among the columns": (TABLE.assign(row=ORDER), "column 'row' is an index by its name"),
    "numbers from 1": (pd.DataFrame({"k": range(1, N + 1)}).join(TABLE), "counts the rows"),
    "numbers in order": (TABLE.assign(where=np.arange(N) * 7), "in order, as an index does"),
    "numbers in reverse": (TABLE.assign(where=np.arange(N)[::-1]), "in order, as an index does"),
    "a shuffled range": (TABLE.assign(d12=ORDER), "each whole number from 0 to 999 once"),
    "ids": (TABLE.assign(a=ORDER * 1013 + 10**9), "none of them twice, as an id does"),
    "ids of more than 64 bits": (TABLE.assign(a=[str(10**25 + int(i)) for i in ORDER]), "holds ids"),
    "a user twice": (TABLE.assign(user_id=ORDER // 2), "is an index by its name"),
    "classes by name": (TABLE.assign(label=CLASSES), "column 'label' holds classes by its name (10 of"),
    "classes called y": (TABLE.assign(y=CLASSES), "holds classes by its name"),
    "classes of another name": (TABLE.assign(digit=CLASSES), "10 different whole numbers, as classes do"),
    "classes with a gap": (TABLE.assign(digit=np.where(CLASSES > 8, np.nan, CLASSES)), "as classes do"),
    "classes as text": (TABLE.assign(kind=[f"c{c}" for c in CLASSES]), "column 'kind' holds 10 classes"),
    "a fractional target": (TABLE.assign(target=X[:, 0] + X[:, 1]), "is no dimension by its name"),
    "file names": (TABLE.assign(a=[f"{i}.png" for i in range(N)]), "column 'a' holds names"),
    "uuids": (TABLE.assign(a=[f"{i:08}-1234-4123-8123-{i:012}" for i in range(N)]), "holds ids"),
    "captions": (TABLE.assign(caption=[f'a "cat", {i % 50}' for i in range(N)]), "holds texts"),
    "flags": (TABLE.assign(train=CLASSES > 4), "column 'train' holds True and False"),
    "dates": (pd.DataFrame({"date": pd.date_range("2020", periods=N)}).join(TABLE), "holds dates"),
    "an empty column": (TABLE.assign(notes=np.nan), "column 'notes' is empty"),
}


@pytest.mark.parametrize("way", LEFT_OUT)
def test_columns_that_are_no_dimensions(way: str) -> None:
    table, note = LEFT_OUT[way]
    rows, notes = read(table)
    assert np.allclose(rows, X, atol=1e-6)
    assert any(note in line for line in notes), notes


def test_without_headings() -> None:
    for columns, note in (
        ([ORDER[:, None], X], "the first column holds each whole number from 0 to 999 once"),
        ([X, CLASSES[:, None]], "column 13 holds 10 different whole numbers"),
    ):
        rows, notes = read(pd.DataFrame(np.hstack(columns)), header=False)
        assert np.allclose(rows, X, atol=1e-6)
        assert note in notes[0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_infinite_values_in_successive_rows_are_read_without_warnings(ending) -> None:
    table = TABLE.assign(time=np.linspace(0, 1, N))
    table.iloc[5:8] = np.inf
    getattr(table, f"to_{ending}")(f"x.{ending}", index=False)
    rows, _ = read_array(Path(f"x.{ending}"))
    assert int(rows.isinf().all(1).sum()) == 3


def test_dimensions_that_look_like_others_stay_and_are_remarked() -> None:
    rows, notes = read(TABLE.assign(d12=CLASSES))
    assert rows.shape[1] == 13
    assert notes == ["column 'd12' holds whole numbers; drop=d12 if these are classes"]
    rows, notes = read(TABLE.assign(d12=np.linspace(0, 1, N)))
    assert rows.shape[1] == 13
    assert notes == ["column 'd12' rises from row to row; drop=d12 if it is a time"]
    rows, notes = read(TABLE.assign(d12=0.0))  # a dead unit
    assert (rows.shape[1], notes) == (13, [])


def test_whole_numbers_alone_are_dimensions() -> None:
    quantised = pd.DataFrame(DRAW.integers(-128, 128, (N, 12)))
    rows, notes = read(quantised)
    assert (rows.shape, notes) == ((N, 12), [])
    rows, notes = read(quantised.assign(label=CLASSES))
    assert rows.shape == (N, 12)
    assert "column 'label' holds classes" in notes[0]


def test_a_parquet_has_the_same_roles() -> None:
    pytest.importorskip("pyarrow")
    shuffled = TABLE.iloc[ORDER].assign(label=pd.Categorical(CLASSES), weight=1)
    shuffled["__index_level_0__"] = ORDER  # as another program than pandas hands an index on
    shuffled.reset_index(drop=True).to_parquet("x.parquet")
    rows, notes = read_array(Path("x.parquet"), Key(), ColumnChoice(drop=["weight"]))
    assert np.allclose(rows.numpy(), X[ORDER])
    assert [note.partition(" (")[0] for note in notes] == [
        "1 of 15 columns are left out, as drop=… says",
        "column 'label' holds classes by its name",
        "column '__index_level_0__' is the index that pandas wrote",
    ]


def choose(columns: list[str | int], drop: list[str | int] | None = None) -> tuple[list[int], list[str]]:
    TABLE.assign(label=CLASSES).to_csv("x.csv", index=False)
    choice = ColumnChoice(columns, drop or [])
    rows, notes = read_array(Path("x.csv"), Key(), choice)
    choice.check_matched()
    everything = np.column_stack([X, CLASSES])
    return [int(np.abs(everything - row[:, None]).sum(0).argmin()) for row in rows.numpy().T], notes


def test_columns_and_drop_choose() -> None:
    assert choose(["d1*"])[0] == [1, 10, 11]
    assert choose(["d3", 0, "12"]) == (
        [3, 0, 12],
        ["the first line is read as a header", "3 of 13 columns are read, as columns=… says"],
    )
    assert choose([], ["d1?", "label"])[0] == list(range(10))
    assert choose(["d*"], ["d0"])[0] == list(range(1, 12))
    with pytest.raises(ConfigError, match=r"^columns: no column 'e0'; its columns are d0, d1, .*, label$"):
        choose(["d0", "e0"])
    with pytest.raises(ConfigError, match=r"^drop: no column 13;"):
        choose([], [13])
    with pytest.raises(ConfigError, match="no column is left after drop"):
        choose([], ["*"])


def test_chosen_columns_must_hold_numbers() -> None:
    TABLE.assign(kind="a").to_csv("x.csv")
    with pytest.raises(ConfigError, match="column 'kind' holds other things than numbers"):
        read_array(Path("x.csv"), Key(), ColumnChoice(["d0", "kind"]))


def test_a_table_without_dimensions_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"no column of dimensions is left: the first column counts the rows"
    ):
        read(pd.DataFrame({"id": range(20), "label": CLASSES[:20]}))


def test_the_indices_of_a_table_that_was_written_three_times() -> None:
    TABLE.to_csv("x.csv")
    for _ in range(2):
        pd.read_csv("x.csv").to_csv("x.csv")
    points, notes = read_array(Path("x.csv"))
    assert np.allclose(points.numpy(), X, atol=1e-6)
    assert "column 'Unnamed: 0.1' is the index that pandas wrote" in "; ".join(notes)


def test_one_hot_codes_of_pandas_are_dimensions() -> None:
    codes = pd.get_dummies(pd.Series(CLASSES % 4), prefix="colour")
    rows, notes = read(TABLE.join(codes))
    assert rows.shape == (N, 16)
    assert np.allclose(rows[:, 12:], codes)
    assert notes == []


def test_numbers_written_as_text_are_named_so() -> None:
    TABLE.assign(d3=[f"{value:.6f}" for value in X[:, 3]]).to_parquet("x.parquet")
    with pytest.raises(ConfigError, match=r"column 'd3' .*\(numbers written as text, for instance '"):
        read_array(Path("x.parquet"))


def test_a_table_of_one_column_of_text_names_the_delimiters() -> None:
    with pytest.raises(ConfigError, match=r"the only column 'd0\^d1.* are told apart by commas, semi"):
        read(TABLE, sep="^")
