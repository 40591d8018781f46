"""Embeddings in Arrow files, data sets on disk, shards and vector stores, read as they are needed."""

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import save_file

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.arrays import open_array, read_array
from intrinsic_clip.data.formats.batched_rows import whole
from intrinsic_clip.data.formats.vector_indexes import HNSW, HNSW_HEADER, READERS
from intrinsic_clip.errors import ConfigError

ROWS = np.random.default_rng(0).normal(size=(3000, 6)).astype(np.float32)
CHOSEN = [2999, 0, 1500, 17, 17]


def lists(rows: np.ndarray = ROWS) -> pa.Table:
    """Return a table with an id and a list for each row."""
    flat = pa.array(rows.ravel())
    return pa.table({"id": np.arange(len(rows)), "v": pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])})


def write_arrow(path: Path, stream: bool, compression: str | None = None) -> None:
    """Write the rows as an IPC file or stream, in batches of 700."""
    opener = pa.ipc.new_stream if stream else pa.ipc.new_file
    with opener(str(path), lists().schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(lists(), max_chunksize=700)


def write_shards(folder: Path, count: int = 2, compressed: bool = False) -> str:
    """Write the rows as shards with a vector and a caption for each key, and return their pattern."""
    for number, part in enumerate(np.array_split(ROWS, count)):
        ending = "tar.gz" if compressed else "tar"
        with tarfile.open(folder / f"{number}.{ending}", "w:gz" if compressed else "w") as tar:
            for place, row in enumerate(part):
                key = f"{number}/{place:05}"
                add(tar, f"{key}.image.npy", npy(row))
                add(tar, f"{key}.txt", b"a cat")
                add(tar, f"{key}.both.npz", npz(text=row[:2], image=row) if not number and place < 9 else b"")
    return str(folder / f"{{0..{count - 1}}}.{ending}")


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a member."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def npy(row: np.ndarray) -> bytes:
    """Return the content of an .npy."""
    file = io.BytesIO()
    np.save(file, row)
    return file.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    """Return the content of an .npz."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def write_dataset(folder: Path) -> None:
    """Write what `save_to_disk` does: Arrow streams, and two files that describe them."""
    folder.mkdir()
    for number, part in enumerate(np.array_split(ROWS, 2)):
        with pa.ipc.new_stream(str(folder / f"data-{number}.arrow"), lists().schema) as writer:
            writer.write_table(lists(part), max_chunksize=400)
    files = [{"filename": f"data-{number}.arrow"} for number in range(2)]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_indices_files": None}))
    (folder / "dataset_info.json").write_text("{}")


def written(kind: str) -> tuple[Path, Key]:
    """Write the rows in one of the forms, and return their path and which array it is."""
    here = Path()
    if kind in ("file.arrow", "file.feather", "stream.arrow", "packed.arrow", "packed.feather"):
        write_arrow(
            here / kind,
            kind.startswith("stream") or kind == "packed.arrow",
            "lz4" * ("packed" in kind) or None,
        )
    elif kind == "folder":
        write_dataset(here / kind)
    elif kind in ("shards", "compressed shards"):
        return Path(write_shards(here, compressed=kind != "shards")), Key("image.npy")
    elif kind == "rows.safetensors":
        save_file({"other": torch.ones(3), "v": torch.from_numpy(ROWS)}, kind)
        return here / kind, Key("v")
    elif kind == "rows.npz":
        np.savez(kind, v=ROWS, other=ROWS[:3])
        return here / kind, Key("v")
    else:
        np.savez_compressed("packed.npz", ROWS)
    return here / kind, Key()


KINDS = (
    "file.arrow", "file.feather", "stream.arrow", "packed.arrow", "packed.feather", "folder", "shards",
    "compressed shards", "rows.safetensors", "rows.npz", "packed.npz",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_and_rows_are_those_of_the_array(kind: str) -> None:
    path, key = written(kind)
    opened = open_array(path, key)
    assert opened is not None
    source, _ = opened
    assert (source.shape, source.dtype) == ((3000, 6), torch.float32)
    starts, blocks = zip(*source.blocks(999), strict=True)
    assert starts == (0, 999, 1998, 2997)
    assert np.array_equal(torch.cat(blocks).numpy(), ROWS)
    assert np.array_equal(source.take(torch.tensor(CHOSEN)).numpy(), ROWS[CHOSEN])
    whole, _ = read_array(path, key)
    assert np.array_equal(whole.numpy(), ROWS)


def test_half_precision_of_either_kind_stays_as_it_is() -> None:
    for kind in (torch.bfloat16, torch.float16, torch.float64):
        rows = torch.from_numpy(ROWS).to(kind)
        save_file({"v": rows}, "half.safetensors")
        source, _ = open_array(Path("half.safetensors")) or pytest.fail("not opened")
        assert source.dtype == kind
        assert torch.equal(source.take(torch.arange(3000)), rows)


@pytest.mark.parametrize("kind", [torch.bool, torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64])
def test_whole_numbers_are_the_same_in_part_as_whole(kind: torch.dtype) -> None:
    rows = (30 * torch.from_numpy(ROWS)).clamp(-128 if kind.is_signed else 0, 127).to(kind)
    np.save("x.npy", rows.numpy())
    np.savez_compressed("x.npz", v=rows.numpy())
    save_file({"v": rows}, "x.safetensors")
    for name in ("x.npy", "x.npz", "x.safetensors"):
        source, _ = open_array(Path(name)) or pytest.fail("not opened")
        expected, _ = read_array(Path(name))
        assert source.dtype == expected.dtype
        assert torch.equal(whole(source), expected)
        some = torch.tensor([2999, 0, 7])
        assert torch.equal(source.take(some), expected[some])


def test_what_cannot_be_read_in_part_is_left_to_other_readers() -> None:
    np.savez("x.npz", counts=np.ones((4, 4), np.uint16), turned=np.asfortranarray(ROWS))
    save_file({"v": torch.ones(4, 4, dtype=torch.uint16)}, "counts.safetensors")
    for path, key in (("x.npz", Key("counts")), ("x.npz", Key("turned")), ("counts.safetensors", Key())):
        assert open_array(Path(path), key) is None
        assert len(read_array(Path(path), key)[0]) > 0


def test_samples_have_their_keys_as_ids_and_arrays_of_npz_names() -> None:
    Path("one").mkdir()
    pattern = write_shards(Path("one"))
    source, notes = open_array(Path(pattern), Key("image.npy")) or pytest.fail("not opened")
    assert notes == ["3,000 samples of 2 shards: member 'image.npy' is read, txt, both.npz left out"]
    assert source.ids[1500] == "1/00000"
    with pytest.raises(
        ConfigError, match=r"arrays: both.npz:image, both.npz:text, image.npy; x_key=… says which"
    ):
        open_array(Path(pattern), Key(None, "x_key"))
    with tarfile.open("nine.tar", "w") as tar:
        for place, row in enumerate(ROWS[:9]):
            add(tar, f"{place}.npz", npz(text=row[:2], image=row))
    rows, _ = read_array(Path("nine.tar"), Key("npz:image"))
    assert np.array_equal(rows.numpy(), ROWS[:9])


def _tar(*members: tuple[str, bytes]) -> None:
    with tarfile.open("x.tar", "w") as tar:
        for name, content in members:
            add(tar, name, content)


def _folder(name: str, content: object) -> None:
    write_dataset(Path("folder"))
    Path("folder", name).write_text(content if isinstance(content, str) else json.dumps(content))


def _without_lists() -> None:
    write_dataset(Path("folder"))
    with pa.ipc.new_stream("folder/data-0.arrow", pa.schema([("a", pa.int64())])) as writer:
        writer.write_table(pa.table({"a": [1]}))


def test_lists_of_whole_numbers_are_read_where_they_are_named() -> None:
    write_dataset(Path("folder"))
    numbers = (30 * ROWS[:9]).astype(np.int8)
    table = pa.table({"v": pa.array(numbers.tolist(), pa.list_(pa.int8()))})
    for file in sorted(Path("folder").glob("*.arrow")):
        with pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    with pytest.raises(
        ConfigError,
        match=r"are neither lists of floats nor numbers alone, with fractions; x_key=v reads lists of whole",
    ):
        open_array(Path("folder"), Key(None, "x_key"))
    source, _ = open_array(Path("folder"), Key("v")) or pytest.fail("not opened")
    assert np.array_equal(whole(source)[:9].numpy(), numbers.astype(np.float32))


VECTOR = npy(ROWS[0])
WRONG: dict[str, tuple[Callable[[], object], str, str]] = {
    "no folder of a data set": (lambda: Path("folder").mkdir(), "folder", "is a directory, and no data set"),
    "tables of LanceDB": (lambda: Path("folder/a.lance").mkdir(parents=True), "folder", "its tables are a.lance"),
    "splits": (
        lambda: _folder("dataset_dict.json", {"splits": ["train", "test"]}),
        "folder", "holds 2 splits: train, test; name the folder of one, such as folder/train",
    ),
    "state": (lambda: _folder("state.json", "{"), "folder", "state.json is damaged"),
    "outside": (
        lambda: _folder("state.json", {"_data_files": [{"filename": "../x.arrow"}]}),
        "folder", "names '../x.arrow', which is no file beside it",
    ),
    "missing file": (
        lambda: _folder("state.json", {"_data_files": [{"filename": "z.arrow"}]}),
        "folder", "lacks 1 of the 1 files in its state.json, first z.arrow",
    ),
    "indices": (
        lambda: _folder("state.json", {"_indices_files": [{"filename": "i.arrow"}]}), "folder", "flatten_indices",
    ),
    "no lists": (_without_lists, "folder", "its columns, a (int64), are neither lists of floats"),
    "damaged stream": (lambda: _folder("data-0.arrow", "hello"), "folder", "damaged, or not an Arrow file"),
    "empty Arrow": (lambda: Path("x.arrow").touch(), "x.arrow", "damaged, or not a"),
    "no shard": (lambda: None, "x.tar", "1 of 1 are missing, the first x.tar"),
    "damaged shard": (lambda: Path("x.tar").write_bytes(b"hello" * 999), "x.tar", "truncated or corrupt shard"),
    "no arrays": (lambda: _tar(("a.txt", b"cat")), "x.tar", "holds 0 members that are arrays: none"),
    "a member lacks": (
        lambda: _tar(("a.npy", VECTOR), ("b.txt", b"cat")), "x.tar", "x.tar: sample 'b' has no member .npy",
    ),
    "another width": (
        lambda: _tar(("a.npy", VECTOR), ("b.npy", npy(ROWS[0, :3]))),
        "x.tar", "sample 'b' of x.tar holds 3 numbers of float32, the first one 6 of float32",
    ),
    "a matrix": (lambda: _tar(("a.npy", npy(ROWS[:2]))), "x.tar", "shape (2, 6) where one vector"),
    "objects": (
        lambda: _tar(("a.npy", npy(np.array([None])))), "x.tar", "holds object of shape (1,) where one vector",
    ),
    "cut vector": (lambda: _tar(("a.npy", VECTOR[:-4])), "x.tar", "x.tar: truncated or corrupt shard"),
    "twice": (
        lambda: _tar(("a.npy", VECTOR), ("a.npy", VECTOR)), "x.tar", "holds several samples 'a', and no telling",
    ),
}  # fmt: skip


def _read_in_blocks(path: Path) -> None:
    source, _ = open_array(path) or pytest.fail("not opened")
    list(source.blocks(10))


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line(case: str) -> None:
    make, name, message = WRONG[case]
    make()
    for reader in (_read_in_blocks, read_array):
        with pytest.raises(ConfigError) as error:
            reader(Path(name))
        assert message in str(error.value)
        assert "\n" not in str(error.value)


def test_a_damaged_npz_is_told_of_while_it_is_read() -> None:
    np.savez_compressed("x.npz", ROWS)
    content = bytearray(Path("x.npz").read_bytes())
    content[len(content) // 2] ^= 255
    Path("x.npz").write_bytes(content)
    source, _ = open_array(Path("x.npz")) or pytest.fail("not opened")
    with pytest.raises(ConfigError, match=r"damaged, or not an \.npz file"):
        list(source.blocks(100))


@pytest.mark.parametrize("suffix", READERS)
def test_a_vector_store_needs_its_library(suffix: str, monkeypatch) -> None:
    module, package = READERS[suffix][1:]
    monkeypatch.setitem(__import__("sys").modules, module, None)
    path = Path(f"x{suffix}")
    path.mkdir() if suffix == ".lance" else path.write_bytes(b"hello")
    with pytest.raises(ConfigError, match=rf"reading {suffix} needs {module}: pip install {package}$"):
        read_array(path)


def _write_faiss(path: str, ids: bool = True) -> None:
    faiss = pytest.importorskip("faiss")
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(6))
    index.add_with_ids(ROWS[::-1].copy(), np.arange(3000)[::-1].copy())
    faiss.write_index(index, path)


def _write_ivf(path: str) -> None:
    faiss = pytest.importorskip("faiss")
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(6), 6, 8)
    index.train(ROWS)
    index.add_with_ids(ROWS, np.arange(3000) * 3)
    faiss.write_index(index, path)


def hnsw_file(labels: np.ndarray, links: int = 4) -> bytes:
    """Return what `save_index` of hnswlib writes before the upper levels, for rows of these labels."""
    start = 4 * links + 4
    header = np.array([0, 4000, len(labels), start + 32, start + 24, start], "<u8").tobytes()
    header += np.array([0, 0], "<i4").tobytes() + np.array([2, links, 2], "<u8").tobytes()
    header += np.array([0.5], "<f8").tobytes() + np.array([10], "<u8").tobytes()
    elements = [bytes(start) + ROWS[i].tobytes() + np.array(i, "<u8").tobytes() for i in labels]
    return header + b"".join(elements)


@pytest.mark.parametrize(
    ("place", "value"), [(0, 1), (8, 2), (24, 53), (32, 45), (40, 21), (40, 50), (64, 5)]
)
def test_a_bin_of_another_program_is_no_index(place: int, value: int) -> None:
    right = hnsw_file(np.arange(3))
    changed = right[:place] + np.array(value, "<u8").tobytes() + right[place + 8 :]
    for wrong in (changed, right[:-1], b"hello", ROWS.tobytes()):
        Path("x.bin").write_bytes(wrong)
        with pytest.raises(ConfigError, match=r"damaged, or not a file of hnswlib's save_index"):
            open_array(Path("x.bin"))


@pytest.mark.parametrize("suffix", HNSW)
def test_a_file_of_hnswlib_needs_no_library_and_is_not_loaded(suffix: str, monkeypatch) -> None:
    """Vectors are taken where they lie, in the order of their labels, without those whose third byte says deleted."""
    monkeypatch.setitem(__import__("sys").modules, "hnswlib", None)
    labels = np.random.default_rng(0).permutation(3000)
    content = bytearray(hnsw_file(labels))
    gone = [0, 1234, 2999]
    for label in gone:
        place = HNSW_HEADER.itemsize + int(np.flatnonzero(labels == label)[0]) * (20 + 24 + 8)
        content[place + 2] = 1
    path = Path(f"x{suffix}")
    path.write_bytes(content)
    source, notes = open_array(path) or pytest.fail("not opened")
    kept = np.delete(ROWS, gone, 0)
    assert np.array_equal(torch.cat([block for _, block in source.blocks(700)]).numpy(), kept)
    assert np.array_equal(source.take(torch.tensor([5, 2990, 5])).numpy(), kept[[5, 2990, 5]])
    assert source.ids == np.delete(np.arange(3000), gone).tolist()
    assert "3 of 3,000 vectors are marked as deleted and are left out" in notes
    with pytest.raises(ConfigError, match=f"x_key=a: {suffix} holds one set of vectors, so leave it out"):
        open_array(path, Key("a", option="x_key"))


@pytest.mark.parametrize("labels", [np.empty(0, int), np.arange(1)])
def test_an_index_without_rows_is_refused(labels) -> None:
    content = bytearray(hnsw_file(labels))
    if len(labels):
        content[HNSW_HEADER.itemsize + 2] = 1  # deleted
    Path("x.bin").write_bytes(content)
    with pytest.raises(ConfigError, match=r"holds shape \(0, 6\)|holds no vectors"):
        open_array(Path("x.bin"))


def test_deleted_vectors_of_hnswlib_are_no_rows() -> None:
    hnswlib = pytest.importorskip("hnswlib")
    index = hnswlib.Index(space="l2", dim=6)
    index.init_index(300, M=4)
    labels = np.random.default_rng(1).permutation(300)
    index.add_items(ROWS[labels], labels)
    gone = [7, 150, 299]
    for label in gone:
        index.mark_deleted(label)
    index.save_index("x.bin")
    rows, notes = read_array(Path("x.bin"))
    assert np.array_equal(rows.numpy(), np.delete(ROWS[:300], gone, 0))
    assert "3 of 300 vectors are marked as deleted and are left out" in notes


def _write_hnswlib(path: str) -> None:
    hnswlib = pytest.importorskip("hnswlib")
    index = hnswlib.Index(space="ip", dim=6)
    index.init_index(4000, ef_construction=10, M=4)
    index.add_items(ROWS[::-1], np.arange(3000)[::-1])
    index.save_index(path)


def _write_usearch(path: str) -> None:
    usearch = pytest.importorskip("usearch.index")
    index = usearch.Index(ndim=6, metric="ip", dtype="f32", expansion_add=8)
    index.add(np.arange(3000)[::-1].copy(), ROWS[::-1].copy())
    index.save(path)


def _write_lance(path: str) -> None:
    lance = pytest.importorskip("lance")
    lance.write_dataset(lists(), path, max_rows_per_file=1000)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("x.faiss", _write_faiss),
        ("x.index", _write_ivf),
        ("x.hnsw", _write_hnswlib),
        ("x.bin", _write_hnswlib),
        ("x.usearch", _write_usearch),
        ("x.lance", _write_lance),
    ],
)
def test_a_vector_store_gives_its_vectors_in_the_order_of_their_ids(name: str, write: Callable) -> None:
    write(name)
    source, _ = open_array(Path(name)) or pytest.fail("not opened")
    assert source.shape == (3000, 6)
    assert np.array_equal(torch.cat([block for _, block in source.blocks(999)]).numpy(), ROWS)
    assert np.array_equal(source.take(torch.tensor(CHOSEN)).numpy(), ROWS[CHOSEN])
    if name == "x.lance":
        shutil.rmtree("x.lance/_versions")
    else:
        Path(name).write_bytes(Path(name).read_bytes()[:50])
    with pytest.raises(ConfigError, match="damaged, or not a") as error:
        open_array(Path(name))
    assert "\n" not in str(error.value)
