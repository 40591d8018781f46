"""Work on blocks of rows by threads that never wait for each other.

PyTorch's own threads meet at a barrier after every operation. Where other programs use the processors, each barrier
waits for whichever thread was set aside, and a search of thousands of small operations takes ten times as long as with
one thread. Workers that each take a block at a time, and compute it with one thread, lose only what is taken from them.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TypeVar

import torch
from torch import Tensor

Block = TypeVar("Block")
Result = TypeVar("Result")


def by_workers(
    work: Callable[[Block], Result], blocks: Sequence[Block], workers: int
) -> Iterator[tuple[int, Result]]:
    """Yield the index and the result of each block as it is done.

    An exception, Ctrl-C included, and a caller that stops listening cancel the blocks that were not begun.

    Args:
        work: called with one block; of several workers at a time.
        blocks: what to work on.
        workers: threads; 1: the caller's own, with PyTorch's threads as they are.
    """
    if workers <= 1 or len(blocks) <= 1:
        yield from ((index, work(block)) for index, block in enumerate(blocks))
        return
    with _pool(workers) as pool:
        waiting: dict[Future[Result], int] = {
            pool.submit(work, block): index for index, block in enumerate(blocks)
        }
        while waiting:
            for done in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(done), done.result()


class WorkerMemory:
    """Memory for the blocks of work, one piece for each worker, since fresh memory is slow."""

    def __init__(self) -> None:
        self.free: SimpleQueue[Tensor] = SimpleQueue()

    @contextmanager
    def lent(self, make: Callable[[], Tensor]) -> Iterator[Tensor]:
        """Lend a piece that no other worker has, a new one where none is free."""
        try:
            piece = self.free.get_nowait()
        except Empty:
            piece = make()
        try:
            yield piece
        finally:
            self.free.put(piece)


@contextmanager
def pytorch_threads(count: int | None = None) -> Iterator[None]:
    """Have PyTorch compute with so many threads, and restore their number at the end.

    PyTorch keeps one part of that number by thread and another for the process, which workers change too.

    Args:
        count: threads; None: as many as before.
    """
    threads = torch.get_num_threads()
    try:
        if count is not None:
            torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Open a pool of workers that compute with one thread each; blocks that were not begun are cancelled at the end."""
    with pytorch_threads():
        pool = ThreadPoolExecutor(workers, "rows", initializer=torch.set_num_threads, initargs=(1,))
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


def in_order(work: Callable[[Block], Result], blocks: Iterable[Block], workers: int) -> Iterator[Result]:
    """Yield the results of blocks in the order of the blocks, few of which are held at a time.

    What is added up in that order does not depend on the number of workers.

    Args:
        work: called with one block; of several workers at a time.
        blocks: what to work on; read as they are needed, by the caller's thread.
        workers: threads; 1: the caller's own, with PyTorch's threads as they are.
    """
    if workers <= 1:
        yield from map(work, blocks)
        return
    with _pool(workers) as pool:
        waiting: deque[Future[Result]] = deque()
        for block in blocks:
            waiting.append(pool.submit(work, block))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
