"""Rows of vector stores of every kind are those that were added, and what a store changes is said."""

from pathlib import Path

import numpy as np
import pytest
import torch

from intrinsic_clip.data.formats.arrays import open_array
from intrinsic_clip.data.formats.paired_ids import compared
from intrinsic_clip.errors import ConfigError

ROWS = np.random.default_rng(0).standard_normal((600, 8)).astype(np.float32)
IDS = np.random.default_rng(1).permutation(6000)[:600].astype(np.int64)
ORDER = np.argsort(IDS)


def faiss_index(recipe: str):
    faiss = pytest.importorskip("faiss")
    index = faiss.index_factory(8, recipe)
    index.train(ROWS)
    return index


def read(index) -> tuple[np.ndarray, list | None, str]:
    """Return the rows of an index of FAISS behind a file, their ids, and the notes."""
    pytest.importorskip("faiss").write_index(index, "x.faiss")
    source, notes = open_array(Path("x.faiss")) or pytest.fail("not opened")
    return torch.cat([rows for _, rows in source.blocks(700)]).numpy(), source.ids, " ".join(notes)


@pytest.mark.parametrize("recipe", ["IVF4,Flat", "RR8,IVF4,Flat", "IDMap,RR8,IVF4,Flat", "IDMap,IVF4,Flat"])
def test_lists_of_faiss_below_other_indexes_are_read_by_their_ids(recipe: str) -> None:
    index = faiss_index(recipe)
    index.add_with_ids(ROWS, IDS)
    rows, ids, notes = read(index)
    assert np.allclose(rows, ROWS[ORDER], atol=1e-5)
    assert ids == IDS[ORDER].tolist()
    assert "codes" not in notes


def test_vectors_with_a_map_of_ids_of_their_own_are_read() -> None:
    index = faiss_index("IVF4,Flat")
    index.set_direct_map_type(pytest.importorskip("faiss").DirectMap.Hashtable)
    index.add(ROWS)
    assert np.array_equal(read(index)[0], ROWS)


@pytest.mark.parametrize("recipe", ["IVF4,Flat", "IDMap,IVF4,Flat"])
def test_what_is_removed_is_no_row(recipe: str) -> None:
    index = faiss_index(recipe)
    index.add_with_ids(ROWS, IDS)
    index.remove_ids(IDS[5:200:3])
    kept = np.setdiff1d(ORDER, np.arange(5, 200, 3), assume_unique=True)
    rows, ids, _ = read(index)
    assert np.array_equal(rows, ROWS[kept])
    assert ids == IDS[kept].tolist()


def test_several_vectors_for_an_id_are_refused_where_only_one_would_be_read() -> None:
    index = faiss_index("IVF4,Flat")
    index.add_with_ids(ROWS, np.arange(600) // 2)
    with pytest.raises(ConfigError, match="holds several vectors for an id"):
        read(index)
    index = faiss_index("IDMap,Flat")
    index.add_with_ids(ROWS, np.arange(600) // 2)
    assert np.array_equal(read(index)[0], ROWS)


@pytest.mark.parametrize(
    ("recipe", "note"),
    [
        ("SQ8", "decoded from the codes of the IndexScalarQuantizer"),
        ("RR8,IVF4,SQ8", "decoded from the codes of the IndexIVFScalarQuantizer"),
        ("SQ8,Refine(SQfp16)", "decoded from the codes of the IndexScalarQuantizer"),
        ("SQ8,RFlat", ""),
        ("IVF4,PQ2x4fs,RFlat", ""),
        ("RR8,Flat", ""),
        ("L2norm,Flat", "vectors are stored at length 1"),
        ("PCA3,IVF4,Flat", "the index keeps 3 of 8 dimensions, so its vectors span no more"),
    ],
)
def test_notes_say_what_an_index_of_faiss_loses(recipe: str, note: str) -> None:
    index = faiss_index(recipe)
    index.add(ROWS)
    rows, _, notes = read(index)
    assert note in notes
    if not note:
        assert not notes
        assert np.allclose(rows, ROWS, atol=1e-5)


@pytest.mark.parametrize("recipe", ["IVF4,PQ2x4fs", "IVF4,FlatDedup", "ITQ8,LSH"])
def test_an_index_of_faiss_that_gives_no_vectors_back_is_refused(recipe: str) -> None:
    index = faiss_index(recipe)
    index.add(ROWS)
    with pytest.raises(ConfigError, match=r"FAISS does not give back the vectors of an Index\w+"):
        read(index)


@pytest.mark.parametrize("recipe", ["BFlat", "BIVF4", "BHNSW4"])
def test_bits_are_no_vectors(recipe: str) -> None:
    faiss = pytest.importorskip("faiss")
    index = faiss.index_binary_factory(64, recipe)
    bits = np.random.default_rng(0).integers(0, 256, (300, 8)).astype(np.uint8)
    index.train(bits)
    index.add(bits)
    faiss.write_index_binary(index, "x.faiss")
    with pytest.raises(ConfigError, match="holds bits, not vectors of numbers"):
        open_array(Path("x.faiss"))


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        ("f32", ""),
        ("f16", "stored as f16, so floats are not quite those put in"),
        ("i8", "those put in, and their lengths are lost"),
        ("u8", "those put in, and lengths and negative numbers are lost"),
    ],
)
def test_notes_say_what_a_type_of_usearch_loses(kind: str, note: str) -> None:
    usearch = pytest.importorskip("usearch.index")
    index = usearch.Index(ndim=8, metric="cos", dtype=kind, expansion_add=8)
    index.add(IDS.astype(np.uint64), 3 * ROWS)
    index.save("x.usearch")
    source, notes = open_array(Path("x.usearch")) or pytest.fail("not opened")
    lengths = np.linalg.norm(torch.cat([rows for _, rows in source.blocks(700)]).numpy(), axis=1)
    assert (lengths.max() < 1.1) == ("lengths" in note)
    assert note in " ".join(notes)
    assert ("stored as" in " ".join(notes)) == bool(note)


@pytest.mark.parametrize("suffix", [".lance", ".parquet"])
def test_ids_of_a_lance_table_are_compared(suffix: str) -> None:
    lance = pytest.importorskip("lance")
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"id": IDS, "vector": list(ROWS)})
    lance.write_dataset(table, "x.lance", max_rows_per_file=100)
    if suffix == ".lance":
        lance.write_dataset(table.take(ORDER), "y.lance")
    else:
        pq.write_table(table.take(ORDER), "y.parquet")
    with pytest.raises(ConfigError, match=r"'id' of x and y differ .* the same ids in another order"):
        compared({"x": Path("x.lance"), "y": Path(f"y{suffix}")}, {})
