"""Rows of mapped files are those asked for, and their pages do not stay in the memory of the process."""

from pathlib import Path

import numpy as np
import pytest
import torch

from intrinsic_clip.data.formats.mapped_rows import MappedRows
from intrinsic_clip.data.formats.vector_indexes import HnswRows

SMAPS = Path("/proc/self/smaps")
N, D = 16_384, 512  # 32 MiB in float32


def resident(path: Path) -> int:
    """Return how many KiB of a file are mapped and in memory."""
    lines = iter(SMAPS.read_text().splitlines())
    return sum(
        next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))
        for line in lines
        if line.endswith(str(path))
    )


@pytest.fixture
def rows(tmp_path) -> np.ndarray:
    array = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
    np.save(tmp_path / "x.npy", array)
    return array


def test_rows_are_those_asked_for_in_their_order(rows, tmp_path) -> None:
    mapped = MappedRows(np.load(tmp_path / "x.npy", mmap_mode="c"))
    for count in (0, 1, 512, 513, 3000):
        asked = torch.randint(N, (count,), generator=torch.Generator().manual_seed(count))
        assert np.array_equal(mapped.take(asked).numpy(), rows[asked.numpy()])
    with pytest.raises(IndexError):
        mapped.take(torch.tensor([N]))
    turned = np.asfortranarray(rows[:100])
    np.save(tmp_path / "turned.npy", turned)
    mapped = MappedRows(np.load(tmp_path / "turned.npy", mmap_mode="c"))
    assert np.array_equal(mapped.take(torch.tensor([99, 0, 99])).numpy(), turned[[99, 0, 99]])


@pytest.mark.skipif(not SMAPS.exists(), reason="asks Linux what is in memory")
def test_pages_are_given_back(rows, tmp_path) -> None:
    path = tmp_path / "x.npy"
    array = np.load(path, mmap_mode="c")
    mapped = MappedRows(array)
    float(array.sum())
    assert resident(path) > 30_000
    mapped.take(torch.randperm(N)[:2000])
    assert resident(path) < 1000
    for _ in mapped.blocks(1024):
        assert resident(path) < 8000
    assert resident(path) < 1000


@pytest.mark.skipif(not SMAPS.exists(), reason="asks Linux what is in memory")
def test_pages_of_an_index_are_given_back(rows, tmp_path) -> None:
    element = np.dtype([("links", "V20"), ("vector", "<f4", D), ("label", "<u8")])
    path = tmp_path / "x.hnsw"
    elements = np.zeros(N, element)
    elements["vector"] = rows
    elements.tofile(path)
    index = HnswRows(np.memmap(path, element, "r"), np.arange(N)[::-1])
    asked = torch.randperm(N)[:9000]  # more than are read at a time
    assert np.array_equal(index.take(asked).numpy(), rows[::-1][asked.numpy()])
    assert resident(path) < 1000
