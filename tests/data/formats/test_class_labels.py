"""Label files: one class per row, with and without a heading."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.class_labels import class_codes, read_labels
from intrinsic_clip.errors import ConfigError

CAT_DOG = [0, 1, 1, 0]


def labels(text: str, key: str | None = None, rows: int | None = None, name: str = "labels.csv") -> list[int]:
    Path(name).write_text(text)
    return read_labels(Path(name), Key(key, "label_key"), rows).tolist()


@pytest.mark.parametrize(
    ("text", "key", "rows"),
    [
        ("label\ncat\ndog\ndog\ncat\n", None, None),
        ("cat\ndog\ndog\ncat\n", None, None),
        ("cat\ndog\ndog\ncat\n", None, 4),
        ("what\ncat\ndog\ndog\ncat\n", None, 4),
        ("0\n5\n7\n7\n5\n", None, 4),  # pandas' heading of a series without a name
        ("5\n7\n7\n5\n", None, 4),
        ("5\n7\n7\n5\n", None, None),
        (",label\n3,cat\n1,dog\n2,dog\n0,cat\n", None, None),
        ("image,label\na.png,cat\nb.png,dog\nc.png,dog\nd.png,cat\n", "label", None),
        ("image;label\na.png;cat\nb.png;dog\nc.png;dog\nd.png;cat\n", "label", 4),
        ("a.png,cat\nb.png,dog\nc.png,dog\nd.png,cat\n", "2", 4),
        ("label,\ncat,\ndog,\ndog,\ncat,\n", None, None),
        ("label\ncat\ndog\ndog\ncat\n\n\n", None, 4),
    ],
)
def test_one_class_per_row(text: str, key: str | None, rows: int | None) -> None:
    assert labels(text, key, rows) == CAT_DOG


def test_names_with_commas_in_a_list() -> None:
    assert labels("tench, Tinca tinca\nhen\nhen\ntench, Tinca tinca\n", rows=4, name="x.txt") == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label\ncat\n\ndog\n", "column 'label' lacks a class in 1 of 3 rows"),
        ("image,label\na.png,cat\nb.png,a, dog\n", "line 3 has 3 fields where the header has 2"),
        ("image,label\na.png,cat\nb.png,dog\n", "holds 2 columns: image, label; label_key=… says which"),
    ],
)
def test_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        labels(text)
    assert message in str(caught.value)


def test_a_heading_does_not_make_up_for_a_missing_row() -> None:
    assert len(labels("label\ncat\ndog\ndog\n", rows=4)) == 3  # the caller reports 3 classes for 4 rows


def test_categories_of_a_parquet() -> None:
    pytest.importorskip("pyarrow")
    pd.DataFrame({"label": pd.Categorical(["cat", "dog", "dog", "cat"])}).to_parquet("x.parquet")
    assert read_labels(Path("x.parquet"), Key()).tolist() == CAT_DOG


SPACED = ["cat", " dog", "caf\u00e9", "cat  ", "dog", "cafe\u0301"]


@pytest.mark.parametrize("suffix", ["parquet", "csv", "npy", "npz"])
def test_spaces_and_accents_make_no_other_class(suffix: str) -> None:
    path = Path(f"classes.{suffix}")
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
        pd.DataFrame({"label": SPACED}).to_parquet(path)
    elif suffix == "csv":
        pd.DataFrame({"label": SPACED}).to_csv(path, index=False)
    else:
        (np.save if suffix == "npy" else np.savez)(path, np.array(SPACED))
    codes = read_labels(path, Key()).tolist()
    assert codes == [1, 2, 0, 1, 2, 0]


def test_classes_of_bytes_and_of_numbers() -> None:
    assert class_codes(np.array([b"dog", b"cat ", b"cat"])).tolist() == [1, 0, 0]
    assert class_codes(np.array([7, -1, 7])).tolist() == [1, 0, 1]
    assert class_codes([]).tolist() == []


MISSING = {
    "numbers": np.array([1, np.nan, 2, np.nan]),
    "names": np.array(["cat", "", "dog", "nan"]),
    "bytes": np.array([b"cat", b"", b"dog", b" "]),
    "a column": np.array([[1.0], [np.nan], [2.0], [np.nan]], np.float32),
}


@pytest.mark.parametrize("case", MISSING)
@pytest.mark.parametrize("suffix", ["npy", "npz", "safetensors"])
def test_arrays_that_lack_a_class(case: str, suffix: str) -> None:
    classes = MISSING[case]
    if suffix == "npy":
        np.save("x.npy", classes)
    elif suffix == "npz":
        np.savez("x.npz", classes)
    elif classes.dtype.kind != "f":
        return
    else:
        save_file({"x": torch.from_numpy(classes)}, "x.safetensors")
    with pytest.raises(ConfigError, match=r"^lacks a class in 2 of 4 rows$"):
        read_labels(Path(f"x.{suffix}"), Key())


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.bfloat16, torch.float16, torch.uint8])
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_classes_in_a_safetensors(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    save_file({"x": torch.tensor(CAT_DOG, dtype=dtype).reshape(shape)}, "x.safetensors")
    assert read_labels(Path("x.safetensors"), Key()).tolist() == CAT_DOG
    save_file({"x": torch.zeros(4, 3)}, "wide.safetensors")
    with pytest.raises(ConfigError, match=r"holds shape \(4, 3\); must be \(rows,\): one class per row"):
        read_labels(Path("wide.safetensors"), Key())


@pytest.mark.parametrize("name", ["classes.npy", "CLASSES.NPY"])
def test_a_key_of_a_file_that_holds_one_array_is_refused(name: str) -> None:
    with open(name, "wb") as file:
        np.save(file, np.array(["cat", "dog"]))
    assert read_labels(Path(name), Key(None, "labels_key")).tolist() == [0, 1]
    with pytest.raises(ConfigError, match=r"labels_key=coarse: \.(npy|NPY) holds one array, so leave it out"):
        read_labels(Path(name), Key("coarse", "labels_key"))


def test_classes_that_were_saved_one_behind_another_are_refused() -> None:
    with Path("classes.npy").open("wb") as file:
        np.save(file, np.arange(5))
        np.save(file, np.arange(5))
    with pytest.raises(ConfigError, match=r"but its header claims 40, as where several arrays were saved"):
        read_labels(Path("classes.npy"), Key())


@pytest.mark.parametrize("more", [8, -8])
def test_an_array_of_an_npz_of_another_size_than_it_claims_is_refused(more: int) -> None:
    np.save(member := io.BytesIO(), np.arange(20))
    content = member.getvalue()
    with zipfile.ZipFile("x.npz", "w") as archive:
        archive.writestr("classes.npy", content[:more] if more < 0 else content + bytes(more))
    with pytest.raises(ConfigError, match="header claims 160" if more > 0 else "claims 160 bytes, of which"):
        read_labels(Path("x.npz"), Key(None, "label_key"))
