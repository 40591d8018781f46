"""Files that a training pairs must have the ids that they share in one order, as those of `measure` must."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.reading import read
from helpers.tiny_runs import files_below
from intrinsic_clip.data.features.feature_files import EmbeddingFiles
from intrinsic_clip.data.formats import paired_ids
from intrinsic_clip.data.formats.paired_ids import compared
from intrinsic_clip.data.formats.row_ids import row_ids
from intrinsic_clip.errors import ConfigError

X = np.random.default_rng(0).normal(size=(120, 5)).astype(np.float32)
TURNED = np.r_[np.arange(40)[::-1], np.arange(40, 120)]
SIZES = {"n_append": 10, "n_test": 20, "batch_size": 32}
REORDERED = (
    "differ in 40 of 120 rows, first in row 0: 'item 0' and 'item 39'; the same ids in another order; sort both alike "
    "(with data.drop=id this is a note)"
)


def table(path: str, order: np.ndarray, ids: str = "item {}") -> str:
    """Write rows of numbers and classes in an order, with what names them."""
    if path.endswith(".npz"):
        np.savez(path, id=np.array([ids.format(i) for i in range(120)])[order], emb=X[order])
        return path
    frame = pd.DataFrame(X, columns=[f"d{i}" for i in range(5)])
    frame.insert(0, "id", [ids.format(i) for i in range(120)])
    frame.insert(1, "celltype", np.where(X[:, 0] > 0, "A", "B"))
    frame = frame.iloc[order].reset_index(drop=True)
    if path.endswith(".csv"):
        frame.to_csv(path, index=False)
    else:
        getattr(frame, f"to_{path.rpartition('.')[2]}")(path)
    return path


def shard(path: str, order: np.ndarray) -> str:
    """Write a tar with a vector for each sample."""
    with tarfile.open(path, "w") as tar:
        for row in order:
            file = io.BytesIO()
            np.save(file, X[row])
            member = tarfile.TarInfo(f"{row:06d}.npy")
            member.size = file.tell()
            file.seek(0)
            tar.addfile(member, file)
    return path


def load(**options) -> EmbeddingFiles:
    return read(EmbeddingFiles(**{**SIZES, **options}))


@pytest.mark.parametrize("suffix", ["csv", "parquet", "feather", "npz"])
def test_the_same_ids_in_another_order_are_refused(suffix: str) -> None:
    x, y = table(f"x.{suffix}", np.arange(120)), table(f"y.{suffix}", TURNED)
    with pytest.raises(ConfigError) as caught:
        load(x=x, y=y)
    shown = REORDERED.partition(" (with")[0] if suffix == "npz" else REORDERED  # which has no columns to drop
    assert str(caught.value) == f"'id' of data.x and data.y {shown}"
    load(x=x, y=table(f"z.{suffix}", np.arange(120)))


def test_samples_in_another_order_are_refused() -> None:
    x, y = shard("x.tar", np.arange(120)), shard("y.tar", TURNED)
    with pytest.raises(
        ConfigError, match=r"row 1 is '000000' in data\.x and '000039' in data\.y; row i of each must"
    ):
        load(x=x, y=y)
    load(x=x, y=shard("z.tar", np.arange(120)))


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_samples_in_another_order_than_a_table_of_their_names_are_refused(suffix: str, capsys) -> None:
    x, y = shard("x.tar", np.arange(120)), table(f"y.{suffix}", TURNED, "{:06d}")
    told = "'id' of data.y and the names of the rows of data.x differ in 40 of 120 rows"
    with pytest.raises(ConfigError, match=told) as caught:
        load(x=x, y=y)
    assert ("with data.drop=id this is a note" in str(caught.value)) == (suffix != "npz")
    if suffix != "npz":
        load(x=x, y=y, drop=["id"])
        assert told in capsys.readouterr().err
    load(x=x, y=table(f"z.{suffix}", np.arange(120), "{:06d}"))
    load(x=x, y=table(f"z.{suffix}", TURNED, "picture {}"))  # ids of another kind
    np.save("plain.npy", X)
    labels = {"labels": {"c": y}, "label_keys": {"c": "id" if suffix == "npz" else "celltype"}}
    with pytest.raises(
        ConfigError, match=r"'id' of data.labels.c and the names of the rows of data.x differ"
    ):
        load(x=x, y="plain.npy", **labels)


def test_numbers_of_an_index_in_another_order_are_noted() -> None:
    ids, files = {"x": [0, 1, 2, 3], "y": None}, {"x": Path("x.index"), "y": Path("y.csv")}
    Path("y.csv").write_text("id,d0,d1\n" + "".join(f"{i},{i}.5,{-i}.25\n" for i in (1, 0, 2, 3)))
    (note,) = compared(files, ids)
    assert "differ in 2 of 4 rows, first in row 0: '1' and '0'; the same ids in another order; row i" in note
    assert compared(files, {"x": [1, 0, 2, 3], "y": None}) == []


@pytest.mark.parametrize("suffixes", [("csv", "csv"), ("npz", "parquet")])
@pytest.mark.parametrize("numbers", [False, True])
def test_ids_of_another_name_in_another_order_are_noted(suffixes: tuple[str, str], numbers: bool) -> None:
    files = {"x": Path(f"x.{suffixes[0]}"), "y": Path(f"y.{suffixes[1]}")}
    for (side, name), order in zip((("x", "id"), ("y", "ids")), (np.arange(120), TURNED), strict=True):
        ids = order if numbers else np.array([f"item {i}" for i in order])
        if files[side].suffix == ".npz":
            np.savez(files[side], **{name: ids, "emb": X})
        else:
            frame = pd.DataFrame(X, columns=[f"d{i}" for i in range(5)]).assign(**{name: ids})
            write = frame.to_csv if suffixes[1] == "csv" else frame.to_parquet
            write(files[side], index=False)
    (note,) = compared(files, {})
    assert note.startswith("'id' of x and 'ids' of y differ in 40 of 120 rows, first in row 0: ")
    assert note.endswith(
        "the same ids in another order; row i of each are taken to belong together all the same"
    )


def test_ids_of_another_name_that_agree_or_are_others_are_not_noted() -> None:
    columns = [f"d{i}" for i in range(5)]
    frame = pd.DataFrame(X, columns=columns).assign(id=np.arange(120), image=np.arange(120)[::-1])
    frame.to_csv("x.csv", index=False)
    for ids in (np.arange(120), np.arange(120) + 7):
        pd.DataFrame(X, columns=columns).assign(ids=ids).to_csv("y.csv", index=False)
        assert compared({"x": Path("x.csv"), "y": Path("y.csv")}, {}) == []


def test_the_order_of_a_wildcard_is_told_where_numbers_have_another(capsys) -> None:
    for number in range(12):
        shard(f"s-{number}.tar", np.arange(10 * number, 10 * number + 10))
    np.save("y.npy", X)
    load(x="s-*.tar", y="y.npy")
    told = "the shards are in the order of their names, s-10.tar before s-2.tar; a range in braces"
    assert told in capsys.readouterr().err
    load(x="s-{0..11}.tar", y="y.npy")
    load(x="s-?.tar", y="s-?.tar")
    assert "in the order of their names" not in capsys.readouterr().err


@pytest.mark.parametrize("side", ["x", "y"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_classes_in_another_order_are_refused(side: str, suffix: str) -> None:
    np.save("plain.npy", X)
    files = {"x": "plain.npy", "y": "plain.npy", side: table("named.csv", np.arange(120))}
    labels = {"labels": {"c": table(f"cells.{suffix}", TURNED)}, "label_keys": {"c": "celltype"}}
    with pytest.raises(ConfigError) as caught:
        load(**files, **labels)
    assert str(caught.value) == f"'id' of data.{side} and data.labels.c {REORDERED}"
    load(**files, **labels, drop=["id"])
    table(f"cells.{suffix}", np.arange(120))
    load(**files, **labels)


def test_classes_in_files_that_are_no_tables_are_not_compared() -> None:
    x = table("x.csv", np.arange(120))
    Path("names.txt").write_text("".join(f"{'a cat, sat' if row[0] > 0 else 'a dog'}\n" for row in X))
    np.save("classes.npy", np.arange(120) % 3)
    data = load(x=x, y=x, labels={"names": "names.txt", "numbers": "classes.npy"})
    assert set(data.pairs("test").labels) == {"names", "numbers"}


def test_other_ids_are_noted(capsys) -> None:
    load(x=table("x.csv", np.arange(120)), y=table("y.csv", np.arange(120), "text {}"))
    assert "data: 'id' of data.x and data.y differ in 120 of 120 rows, first" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["train", "measure", "shared"])
def test_every_verb_refuses_in_one_line(command_line, capsys, tmp_path, verb: str) -> None:
    files = [
        f"data.x={table('x.csv', np.arange(120))}",
        f"data.y={table('y.csv', TURNED)}",
        "data=embeddings",
    ]
    before = files_below(tmp_path)
    assert command_line(verb, *files, "data.n_append=10", "data.n_test=40", "data.batch_size=32") == 2
    error = capsys.readouterr().err
    assert f"'id' of data.x and data.y {REORDERED}" in error
    assert files_below(tmp_path) == before


def test_columns_of_other_names_are_read_once(monkeypatch) -> None:
    ids = {f"{name}_id": [f"{name} {place}" for place in range(120)] for name in ("image", "scene", "photo")}
    pd.DataFrame({**ids, "a": X[:, 0], "b": X[:, 1]}).to_csv("x.csv", index=False)
    turned = {f"own_{name}": np.array(values)[TURNED] for name, values in ids.items()}
    pd.DataFrame({**turned, "a": X[:, 0], "b": X[:, 1]}).to_csv("y.csv", index=False)
    read_columns = []

    def counted(path, only):
        read_columns.extend((str(path), column) for column in only)
        return row_ids(path, only)

    monkeypatch.setattr(paired_ids, "row_ids", counted)
    files = {"x": Path("x.csv"), "y": Path("y.csv")}
    notes = compared(files, {})
    assert len([note for note in notes if "the same ids in another order" in note]) == 3
    assert len(read_columns) == len(set(read_columns)) == 6
