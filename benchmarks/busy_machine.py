"""Time the search for neighbours on an idle and on a busy machine: by workers, and by PyTorch's own threads.

    python benchmarks/busy_machine.py [--busy 0 2 4] [--rounds 5] [--threads 2]

5,000 points of 512 dimensions, k = 20; `busy` loops of other processes use the processors meanwhile. The contenders
take turns; shown are the median and the slowest.

workers       a thread for each block of rows, which compute with one thread each and never wait for each other
PyTorch's     one block after the other, each operation by all threads, which wait for the last after each
one thread    one block after the other, one thread
"""

import argparse
import statistics
import subprocess
import sys
import time
from unittest.mock import patch

import torch
from torch import Tensor

from intrinsic_clip.dimension import exact_search, nearest_neighbours


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 2, 4])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    points = torch.randn(5000, 512, generator=torch.Generator().manual_seed(0))
    contenders = {
        "workers": (arguments.threads, None),
        "PyTorch's": (arguments.threads, 1),
        "one thread": (1, 1),
    }
    print(f"torch {torch.__version__}, {arguments.threads} threads\n")
    print(f"| busy loops | {' | '.join(contenders)} |\n|--:|{'--:|' * len(contenders)}")
    for busy in arguments.busy:
        loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            seconds: dict[str, list[float]] = {name: [] for name in contenders}
            for _ in range(arguments.rounds):
                for name, (threads, workers) in contenders.items():
                    seconds[name].append(_time(points, threads, workers))
        finally:
            for loop in loops:
                loop.kill()
                loop.wait()
        cells = [f"{statistics.median(each):.2f} s (up to {max(each):.2f})" for each in seconds.values()]
        print(f"| {busy} | {' | '.join(cells)} |", flush=True)


def _time(points: Tensor, threads: int, workers: int | None) -> float:
    """Return the seconds of one search; workers None: as many as it takes by itself."""
    torch.set_num_threads(threads)
    choice = exact_search._workers if workers is None else lambda points, block_bytes: workers
    with patch.object(exact_search, "_workers", choice):
        started = time.perf_counter()
        nearest_neighbours(points, 20)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
