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
    with pytorch_threads_restored():
        pool = ThreadPoolExecutor(workers, "rows", initializer=torch.set_num_threads, initargs=(1,))
        try:
            waiting: dict[Future[Result], int] = {
                pool.submit(work, block): index for index, block in enumerate(blocks)
            }
            while waiting:
                for done in wait(waiting, return_when=FIRST_COMPLETED).done:
                    yield waiting.pop(done), done.result()
        finally:
            pool.shutdown(cancel_futures=True)


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
def pytorch_threads_restored() -> Iterator[None]:
    """Restore the number of threads, of which PyTorch keeps one part by thread and another for the process."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


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
    with pytorch_threads_restored():
        pool = ThreadPoolExecutor(workers, "rows", initializer=torch.set_num_threads, initargs=(1,))
        try:
            waiting: deque[Future[Result]] = deque()
            for block in blocks:
                waiting.append(pool.submit(work, block))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
