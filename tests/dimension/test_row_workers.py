"""Blocks of rows by several workers: each once, exceptions at once, and PyTorch's threads as they were."""

import threading
import time

import pytest
import torch

from helpers.manifolds import gaussian
from intrinsic_clip.dimension import exact_search, nearest_neighbours
from intrinsic_clip.dimension.row_workers import by_workers


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_block_is_worked_on_once(workers: int) -> None:
    results = dict(by_workers(lambda block: block * block, list(range(20)), workers))
    assert results == {index: index**2 for index in range(20)}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_or_ctrl_c_stops_the_work_and_leaves_no_thread(error: type[BaseException]) -> None:
    begun = []

    def work(block: int) -> int:
        begun.append(block)
        if block == 3:
            raise error
        time.sleep(1e-3)
        return block

    before = set(threading.enumerate())
    with pytest.raises(error):
        list(by_workers(work, list(range(1000)), 2))
    assert len(begun) < 1000
    assert set(threading.enumerate()) == before


def test_each_worker_computes_with_one_thread_and_the_caller_as_before(two_threads) -> None:
    threads = dict(by_workers(lambda block: torch.get_num_threads(), list(range(4)), 2))
    assert set(threads.values()) == {1}
    assert torch.get_num_threads() == 2


def test_workers_find_the_neighbours_that_one_thread_finds(two_threads, monkeypatch) -> None:
    points = gaussian(500, 12)
    points[::50] += 1e5  # some rows need a second search, with more digits
    together = nearest_neighbours(points, 7)
    monkeypatch.setattr(exact_search, "_workers", lambda points, block_bytes: 1)
    alone = nearest_neighbours(points, 7)
    assert torch.equal(together.distances, alone.distances)
    assert torch.equal(together.indices, alone.indices)


@pytest.mark.parametrize(("n", "d", "most"), [(100, 3, 64), (10**6, 64, 4), (10**6, 2, 1)])
def test_workers_are_as_many_as_there_is_memory_for(monkeypatch, n: int, d: int, most: int) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    points = torch.empty(1).expand(n, d)
    assert exact_search._workers(points, 2**28) == most


def test_progress_counts_every_row() -> None:
    reports: list[tuple[int, int]] = []
    nearest_neighbours(gaussian(300, 4), 5, report=lambda rows, total: reports.append((rows, total)))
    assert sum(rows for rows, _ in reports) == 300
    assert {total for _, total in reports} == {300}
