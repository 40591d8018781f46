"""Embeddings from files: the same numbers from every format, and one line for a bad file."""

import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from intrinsic_clip.data.formats.arrays import Key, open_array, read_array
from intrinsic_clip.errors import ConfigError

ROWS = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
TABLE = pd.DataFrame(ROWS.astype(float))


def write(name: str) -> Path:
    """Write ROWS, or a variation of them, to a file of that name."""
    writers = {
        "rows.npy": lambda: np.save(name, ROWS),
        "fortran.npy": lambda: np.save(name, np.asfortranarray(ROWS)),
        "big_endian.npy": lambda: np.save(name, ROWS.astype(">f8")),
        "long.npy": lambda: np.save(name, ROWS.astype(np.longdouble)),
        "ROWS.NPY": lambda: Path(name).write_bytes(write("rows.npy").read_bytes()),
        "one.npz": lambda: np.savez(name, ROWS),
        "two.npz": lambda: np.savez_compressed(name, image=ROWS, text=ROWS[:, :3]),
        "one.safetensors": lambda: save_file({"x": torch.from_numpy(ROWS)}, name),
        "two.safetensors": lambda: save_file(
            {"image": torch.from_numpy(ROWS), "text": torch.ones(2, 2)}, name
        ),
        "plain.csv": lambda: TABLE.to_csv(name, header=False, index=False),
        "counted.csv": lambda: TABLE.to_csv(name, index=False),
        "indexed.csv": lambda: TABLE.to_csv(name),
        "named.csv": lambda: TABLE.add_prefix("d").set_axis(range(1, 31)).to_csv(name, index_label="id"),
        "columns.parquet": lambda: TABLE.add_prefix("d").to_parquet(name),
        "lists.parquet": lambda: pd.DataFrame({"id": ["a"] * 30, "v": list(ROWS)}).to_parquet(name),
    }
    writers[name]()
    return Path(name)


@pytest.mark.parametrize(
    "name",
    [
        *("rows.npy", "fortran.npy", "big_endian.npy", "long.npy", "ROWS.NPY", "one.npz", "one.safetensors"),
        *("plain.csv", "counted.csv", "indexed.csv", "named.csv", "columns.parquet", "lists.parquet"),
    ],
)
def test_every_format_gives_the_same_numbers(name: str) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    rows, _ = read_array(write(name))
    assert rows.shape == (30, 4)
    assert torch.equal(rows.float(), torch.from_numpy(ROWS))


@pytest.mark.parametrize("name", ["two.npz", "two.safetensors"])
def test_a_key_says_which_array(name: str) -> None:
    rows, _ = read_array(write(name), Key("image"))
    assert torch.equal(rows, torch.from_numpy(ROWS))
    with pytest.raises(ConfigError, match=r"holds 2 (arrays|tensors): image, text; x_key=… says which"):
        read_array(Path(name), Key(None, "x_key"))
    with pytest.raises(ConfigError, match=r"holds no 'images' \(x_key\); (arrays|tensors): image, text"):
        read_array(Path(name), Key("images", "x_key"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int8, torch.bool])
def test_small_types_become_float32(dtype: torch.dtype) -> None:
    values = (torch.from_numpy(ROWS) * 3).to(dtype)
    save_file({"x": values}, "small.safetensors")
    rows, _ = read_array(Path("small.safetensors"))
    assert rows.dtype == torch.float32
    assert torch.equal(rows, values.float())


@pytest.mark.parametrize("dtype", ["i8", "u2", "u8"])
def test_large_integers_become_float64(dtype: str) -> None:
    np.save("whole.npy", np.arange(12, dtype=dtype).reshape(3, 4))
    rows, _ = read_array(Path("whole.npy"))
    assert rows.dtype == torch.float64
    assert rows.flatten().tolist() == list(range(12))


def test_npy_is_mapped_and_the_file_left_alone() -> None:
    before = write("rows.npy").read_bytes()
    rows, _ = read_array(Path("rows.npy"))
    rows += 1
    assert Path("rows.npy").read_bytes() == before


def test_interpretations_are_reported() -> None:
    assert read_array(write("plain.csv"))[1] == []
    assert read_array(write("counted.csv"))[1] == ["the first line is read as a header"]
    assert read_array(write("indexed.csv"))[1] == [
        "the first line is read as a header",
        "the first column counts the rows and is left out",
    ]


def test_a_column_of_lists_is_reported_and_must_be_of_one_length() -> None:
    pytest.importorskip("pyarrow")
    assert read_array(write("lists.parquet"))[1] == ["column 'v' is read, id left out"]
    pd.DataFrame({"v": [[1.0, 2.0], [1.0]], "w": [[1.0], [2.0]]}).to_parquet("ragged.parquet")
    with pytest.raises(ConfigError, match="holds 2 columns of lists: v, w; key=… says which"):
        read_array(Path("ragged.parquet"))
    with pytest.raises(ConfigError, match="column 'v' holds lists of 1 to 2 numbers"):
        read_array(Path("ragged.parquet"), Key("v"))
    assert read_array(Path("ragged.parquet"), Key("w"))[0].tolist() == [[1.0], [2.0]]


def test_a_parquet_that_is_none() -> None:
    pytest.importorskip("pyarrow")
    Path("text.parquet").write_text("hello")
    with pytest.raises(ConfigError, match=r"damaged, or not a .parquet file \(.+\)$"):
        read_array(Path("text.parquet"))


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_tables_without_pyarrow_say_how_to_get_it(monkeypatch, suffix) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    Path(f"x{suffix}").touch()
    with pytest.raises(ConfigError, match="pip install pyarrow"):
        read_array(Path(f"x{suffix}"))


def _npz_of_objects() -> None:
    np.savez("x.npz", np.array([["a", None]], dtype=object))


WRONG = {
    "missing.npy": (lambda: None, "no such file or directory"),
    "folder.npy": (lambda: Path("folder.npy").mkdir(), "is a directory"),
    "x.pkl": (
        lambda: Path("x.pkl").touch(),
        ".pkl extension, which is not read; .npy, .npz, .safetensors",
    ),
    "x": (lambda: Path("x").touch(), "no extension, which is not read"),
    "text.npy": (lambda: Path("text.npy").write_text("1,2\n"), "not an .npy file, despite its name"),
    "empty.npy": (lambda: Path("empty.npy").touch(), "not an .npy file"),
    "cut.npy": (lambda: _cut("rows.npy", "cut.npy", 300), "damaged or cut short"),
    "header.npy": (lambda: _cut("rows.npy", "header.npy", 20), "damaged or cut short"),
    "objects.npy": (lambda: np.save("objects.npy", np.array([["a", None]], object)), "holds Python objects"),
    "words.npy": (lambda: np.save("words.npy", np.array([["a"]])), "holds <U1 where real numbers are wanted"),
    "complex.npy": (lambda: np.save("complex.npy", ROWS + 1j), "holds complex64 where real numbers"),
    "flat.npy": (lambda: np.save("flat.npy", ROWS[0]), "shape (4,) where (rows, dimensions) is wanted"),
    "deep.npy": (lambda: np.save("deep.npy", ROWS[None]), "shape (1, 30, 4) where (rows, dimensions)"),
    "none.npy": (lambda: np.save("none.npy", ROWS[:0]), "shape (0, 4) where (rows, dimensions)"),
    "x.npz": (_npz_of_objects, "holds Python objects"),
    "cut.npz": (lambda: _cut("one.npz", "cut.npz", 300), "damaged, or not an .npz file"),
    "empty.npz": (lambda: zipfile.ZipFile("empty.npz", "w").close(), "holds 0 arrays: none"),
    "cut.safetensors": (lambda: _cut("one.safetensors", "cut.safetensors", 200), "damaged, or not a"),
    "text.safetensors": (lambda: Path("text.safetensors").write_text("hello"), "damaged, or not a"),
    "words.csv": (lambda: TABLE.assign(name="cat").to_csv("words.csv"), "column 'name' holds other things"),
    "padded.csv": (lambda: Path("padded.csv").write_text("a,b\n1,id7\n2,id8\n"), "for instance 'id7'"),
    "ragged.csv": (lambda: Path("ragged.csv").write_text("1,2\n3,4,5\n"), "not a table of comma-separated"),
    "bytes.csv": (lambda: Path("bytes.csv").write_bytes(bytes(range(256))), "not a table of comma-separated"),
    "empty.csv": (lambda: Path("empty.csv").touch(), "not a table of comma-separated"),
    "header.csv": (lambda: Path("header.csv").write_text("a,b\n"), "holds no rows"),
    "appended.npy": (
        lambda: Path("appended.npy").write_bytes(write("rows.npy").read_bytes() * 3),
        "holds 1,696 bytes of numbers, but its header claims 480, as where several arrays",
    ),
    "appended.npz": (lambda: _npz_of_appended(write("rows.npy").read_bytes() * 2), "its header claims 480"),
    "turned.npz": (lambda: _npz_of_appended(write("fortran.npy").read_bytes() + b" "), "holds 481 bytes"),
}


def _npz_of_appended(content: bytes) -> None:
    for name in ("appended.npz", "turned.npz"):
        with zipfile.ZipFile(name, "w") as archive:
            archive.writestr("x.npy", content)


def _cut(whole: str, name: str, size: int) -> None:
    Path(name).write_bytes(write(whole).read_bytes()[:size])


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line(name: str) -> None:
    make, message = WRONG[name]
    make()
    with pytest.raises(ConfigError) as error:
        read_array(Path(name))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_key_where_there_is_nothing_to_choose() -> None:
    with pytest.raises(ConfigError, match=r"x_key=a: .npy holds one array, so leave it out"):
        read_array(write("rows.npy"), Key("a", "x_key"))


def test_missing_numbers_in_a_csv_are_nan() -> None:
    Path("gaps.csv").write_text("1,2\n,4\n")
    assert read_array(Path("gaps.csv"))[0].isnan().tolist() == [[False, False], [True, False]]


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet", ".csv", ".safetensors"])
def test_a_pointer_of_git_lfs_is_named(suffix: str) -> None:
    path = Path(f"x{suffix}")
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(ConfigError, match="a pointer of Git LFS, not the file itself; git lfs pull"):
        read_array(path)


@pytest.mark.parametrize(
    "beside",
    [
        {"ids": np.array([f"item{i}" for i in range(30)])},
        {"image_id": np.arange(30), "caption": np.array(["a"] * 30)},
        {"file_name": np.array([b"a"] * 30)},
    ],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_may_name_its_rows_beside_them(save, beside) -> None:
    save("named.npz", **beside, embedding=ROWS)
    rows, notes = read_array(Path("named.npz"))
    np.testing.assert_array_equal(rows, ROWS)
    assert notes == [f"array 'embedding' is read, {', '.join(beside)} left out"]
    opened = open_array(Path("named.npz"))
    if opened is not None:  # compressed ones may be read whole
        assert opened[0].shape == ROWS.shape
        assert opened[1] == notes
    assert read_array(Path("named.npz"), Key("embedding"))[1] == []


@pytest.mark.parametrize(
    "beside", [{"ids": ROWS}, {"ids": np.arange(30), "text": ROWS}, {"norms": ROWS[:, 0]}]
)
def test_an_npz_that_could_mean_two_arrays_is_refused(beside) -> None:
    np.savez("two.npz", embedding=ROWS, **beside)
    with pytest.raises(ConfigError, match=r"holds [23] arrays: .*embedding.*; key=… says which"):
        read_array(Path("two.npz"))
