"""Read the vectors in files of vector stores: FAISS, usearch and Lance by their libraries, hnswlib without."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.arrow_numbers import Content, required_content
from intrinsic_clip.data.formats.batched_rows import BatchedRows
from intrinsic_clip.data.formats.column_choice import ColumnChoice
from intrinsic_clip.data.formats.mapped_rows import give_back
from intrinsic_clip.errors import ConfigError, first_line

if TYPE_CHECKING:
    import pyarrow as pa

READ = 8192  # vectors that a library is asked for at a time
EXACT = tuple(
    f"Index{kind}"
    for kind in (
        *("Flat", "FlatL2", "FlatIP", "Flat1D", "HNSWFlat", "IVFFlat", "NSGFlat", "NNDescentFlat"),
        *("FlatPanorama", "FlatL2Panorama", "FlatIPPanorama", "HNSWFlatPanorama", "IVFFlatPanorama"),
    )
)
# HierarchicalNSW::saveIndex of hnswlib: what precedes the elements, each of links, vector and label.
HNSW_HEADER = np.dtype(
    [
        *((name, "<u8") for name in ("level_0", "most", "count", "size", "label", "vector")),
        ("level", "<i4"),
        ("entry", "<u4"),
        *((name, "<u8") for name in ("upper_links", "links", "m")),
        ("scale", "<f8"),
        ("effort", "<u8"),
    ]
)
LANCE = ".lance"
DELETED = 1  # of the third byte of an element


class IndexRows(BatchedRows):
    """Vectors of an index, by number or by the ids that it gives them.

    Args:
        vectors: returns the vectors of some ids, float32 `(m, d)`.
        ids: of all vectors, in the order of the rows.
        columns: of the vectors.
    """

    packed = False

    def __init__(self, vectors: Callable[[np.ndarray], np.ndarray], ids: np.ndarray, columns: int) -> None:
        super().__init__([len(ids)], columns, torch.float32)
        self._vectors, self._ids = vectors, ids

    def _batches(self, groups: Sequence[int]) -> Iterator[Tensor]:
        for start in range(0, len(self._ids), READ):
            yield self._rows(self._ids[start : start + READ])

    def _rows(self, ids: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(self._vectors(ids), np.float32).reshape(len(ids), -1))

    def take(self, rows: Tensor) -> Tensor:
        """Return the rows of these numbers."""
        return torch.cat([self._rows(self._ids[part.numpy()]) for part in rows.split(READ)])


class HnswRows(IndexRows):
    """Vectors of a file of hnswlib, of which nothing else is read: no links of its graph.

    Args:
        elements: of the file, mapped into memory.
        places: of those to read, in the order of the rows.
    """

    def __init__(self, elements: np.memmap[Any, Any], places: np.ndarray) -> None:
        vectors, pages = elements["vector"], getattr(elements, "_mmap", None)

        def read(some: np.ndarray) -> np.ndarray:
            rows = vectors[some]
            give_back(pages)
            return rows

        super().__init__(read, places, vectors.shape[1])


class LanceRows(BatchedRows):
    """The lists of one column of a Lance table, which LanceDB keeps its tables in, or the numbers of several."""

    def __init__(self, table: Any, content: Content) -> None:
        self.table, self.content = table, content
        super().__init__([table.count_rows()], content.width or None, content.dtype)

    def _batches(self, groups: Sequence[int]) -> Iterator[Tensor]:
        start = 0
        for batch in lance_batches(self.table, self.content.names, self.content.part):
            yield self.content.matrix(batch, start)
            start += len(batch)

    def take(self, rows: Tensor) -> Tensor:
        """Return the rows of these numbers."""
        import pyarrow as pa

        taken = self.table.take(rows.tolist(), columns=self.content.names)
        columns = [column.combine_chunks() for column in taken.columns]
        return self.content.matrix(pa.record_batch(columns, taken.column_names), 0)


Opened = tuple[BatchedRows, list[str]]


def index_rows(path: Path, key: Key, choice: ColumnChoice) -> Opened:
    """Return the vectors in the file or folder of a vector store, and notes.

    Args:
        path: of it; the extension says which library wrote it.
        key: the column of a table.
        choice: the columns of a table.

    Raises:
        ConfigError: its library is not installed, or it is damaged.
    """
    suffix = path.suffix.lower()
    if suffix in HNSW:
        _refuse_key(key, suffix)
        return _hnswlib(path)
    reader, module, package = READERS[suffix]
    if suffix != LANCE:
        _refuse_key(key, suffix)
    try:
        library = import_module(module)
    except ImportError as error:
        raise ConfigError(f"reading {suffix} needs {module}: pip install {package}") from error
    try:
        return reader(library, path, key, choice)
    except ConfigError:
        raise
    except Exception as error:  # each library raises its own
        raise ConfigError(f"damaged, or not a {suffix} of {package} ({first_line(error)[:200]})") from error


def _refuse_key(key: Key, suffix: str) -> None:
    if key.value is not None:
        raise ConfigError(f"{key.option}={key.value}: {suffix} holds one set of vectors, so leave it out")


def _faiss(faiss: Any, path: Path, key: Key, choice: ColumnChoice) -> Opened:
    with path.open("rb") as file:
        if file.read(2) == b"IB":  # as the file of every IndexBinary begins
            raise ConfigError("holds bits, not vectors of numbers")
    index = whole = faiss.read_index(str(path))
    ids, names = np.arange(index.ntotal), None
    if isinstance(index, faiss.IndexIDMap | faiss.IndexIDMap2):
        names = faiss.vector_to_array(index.id_map)
        index = faiss.downcast_index(index.index)
    inner, notes = _inner_faiss(faiss, index)
    refused = f"FAISS does not give back the vectors of an {type(inner).__name__}: store them as .npy too"
    if isinstance(inner, faiss.IndexIVFFastScan):  # asking for one ends the process
        raise ConfigError(refused)
    if isinstance(inner, faiss.IndexIVF):
        ids = _ivf_ids(faiss, inner)
        names = ids if names is None else names
        inner.set_direct_map_type(faiss.DirectMap.NoMap)  # one read from a file lacks ids
        inner.set_direct_map_type(faiss.DirectMap.Hashtable)

    def vectors(some: np.ndarray, whole: Any = whole) -> np.ndarray:  # which owns the memory of the index
        return np.asarray(index.reconstruct_batch(some))

    try:
        vectors(ids[:1])
    except RuntimeError as error:
        raise ConfigError(refused) from error
    return _in_order(vectors, ids, names, index.d), notes


def _inner_faiss(faiss: Any, index: Any) -> tuple[Any, list[str]]:
    """Return the index that holds the vectors, and notes on what is no more as it was put in."""
    notes = []
    while isinstance(index, faiss.IndexPreTransform | faiss.IndexRefine):
        if isinstance(index, faiss.IndexRefine):
            index = faiss.downcast_index(index.refine_index)
            continue
        steps = [faiss.downcast_VectorTransform(index.chain.at(i)) for i in range(index.chain.size())]
        if any(isinstance(step, faiss.NormalizationTransform) for step in steps):
            notes.append("vectors are stored at length 1")
        kept = min((step.d_out for step in steps), default=index.d)
        if kept < index.d:
            notes.append(f"the index keeps {kept} of {index.d} dimensions, so its vectors span no more")
        index = faiss.downcast_index(index.index)
    kind = type(index).__name__
    if kind not in EXACT:
        notes.append(f"vectors are decoded from the codes of the {kind}, so they are not quite those put in")
    return index, notes


def _ivf_ids(faiss: Any, index: Any) -> np.ndarray:
    lists = index.invlists
    parts = [
        faiss.rev_swig_ptr(lists.get_ids(number), lists.list_size(number)).copy()
        for number in range(lists.nlist)
        if lists.list_size(number)
    ]
    ids = np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)
    if (ids[1:] == ids[:-1]).any():
        raise ConfigError("holds several vectors for an id, and there is no telling which belongs to a row")
    return ids


def _in_order(
    vectors: Callable[[np.ndarray], np.ndarray], ids: np.ndarray, names: np.ndarray | None, columns: int
) -> IndexRows:
    """Return the rows in the order of the names that the index gives them, if it gives any."""
    if names is None:
        return IndexRows(vectors, ids, columns)
    order = np.argsort(names, kind="stable")
    rows = IndexRows(vectors, ids[order], columns)
    rows.ids = names[order].tolist()
    return rows


def _hnswlib(path: Path) -> Opened:
    elements = _hnsw_elements(path)
    deleted = (elements["flags"] & DELETED).astype(bool)
    places = np.flatnonzero(~deleted)
    places = places[np.argsort(elements["label"][places], kind="stable")]
    rows = HnswRows(elements, places)
    rows.ids = elements["label"][places].tolist()
    notes = ["rows are in the order of their labels; those of a cosine space are stored at length 1"]
    if deleted.any():
        notes.append(f"{deleted.sum():,} of {len(deleted):,} vectors are marked as deleted and are left out")
    return rows, notes


def _hnsw_elements(path: Path) -> np.memmap[Any, Any]:
    """Return the elements of a file of hnswlib's `save_index`, mapped into memory: flags, vector and label of each.

    Raises:
        ConfigError: it is another file.
    """
    header = np.fromfile(path, HNSW_HEADER, 1)
    known = dict(zip(HNSW_HEADER.names or (), header[0].tolist() if len(header) else [], strict=False))
    width = (known.get("label", 0) - known.get("vector", 0)) // 4
    links = 4 * known.get("links", 0) + 4
    size = links + 4 * width + 8
    fits = (
        width > 0
        and [known[name] for name in ("level_0", "vector", "label", "size")] == [0, links, size - 8, size]
        and known["count"] <= known["most"]
        and path.stat().st_size >= HNSW_HEADER.itemsize + known["count"] * size
    )
    if not fits:
        raise ConfigError("damaged, or not a file of hnswlib's save_index (numpy.save writes rows as .npy)")
    element = np.dtype(
        {
            "names": ["flags", "vector", "label"],
            "formats": ["u1", ("<f4", (width,)), "<u8"],
            "offsets": [2, links, size - 8],
            "itemsize": size,
        }
    )
    return np.memmap(path, element, "r", HNSW_HEADER.itemsize, (known["count"],))


def _usearch(usearch: Any, path: Path, key: Key, choice: ColumnChoice) -> Opened:
    index = usearch.Index.restore(str(path), view=True)
    if index is None:
        raise ConfigError("damaged, or not a file of usearch")
    if index.multi:
        raise ConfigError("holds several vectors for a key, and there is no telling which belongs to a row")
    kind = str(index.dtype).rpartition(".")[2].lower()
    if kind.startswith("b1"):
        raise ConfigError("holds bits, not vectors of numbers")
    ids = np.sort(np.asarray(index.keys, np.uint64))
    rows = IndexRows(lambda some: np.asarray(index.get(some, np.float32)), ids, index.ndim)
    rows.ids = ids.tolist()
    notes = ["rows are in the order of their keys"]
    return rows, [*notes, *_usearch_notes(kind)]


def _usearch_notes(kind: str) -> list[str]:
    """Say what a type of usearch has made of vectors of floats."""
    if kind in ("f32", "f64"):
        return []
    lost = {"i8": ", and their lengths are lost", "u8": ", and lengths and negative numbers are lost"}
    return [f"vectors are stored as {kind}, so floats are not quite those put in{lost.get(kind, '')}"]


def _lance(lance: Any, path: Path, key: Key, choice: ColumnChoice) -> Opened:
    table = lance_table(path)
    content, notes = required_content(table.schema, key, choice, partial(lance_batches, table))
    return LanceRows(table, content), notes


def lance_table(path: Path) -> Any:
    """Return a Lance table, whose library must be there."""
    import lance

    return lance.dataset(str(path))


def lance_batches(table: Any, names: Sequence[str], rows: int = READ) -> Iterator["pa.RecordBatch"]:
    """Yield the rows of some columns in order, so many at a time."""
    for batch in table.to_batches(columns=list(names), batch_size=rows, scan_in_order=True):
        if len(batch):
            yield batch


Reader = Callable[[Any, Path, Key, ColumnChoice], Opened]
HNSW = (".hnsw", ".bin")  # which need no library
READERS: dict[str, tuple[Reader, str, str]] = {  # how it is read, by which module, of which package
    ".faiss": (_faiss, "faiss", "faiss-cpu"),
    ".index": (_faiss, "faiss", "faiss-cpu"),
    ".usearch": (_usearch, "usearch.index", "usearch"),
    LANCE: (_lance, "lance", "pylance"),
}
SUFFIXES = (*READERS, *HNSW)
