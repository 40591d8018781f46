"""Start the processes of one training as children of this one, which has imported everything already."""

import os
from collections.abc import Callable
from pathlib import Path

from helpers.ports import reserved_port
from soak.warm_children import Ended, started, warm_up


def in_ranks(processes: int, folder: Path, work: Callable[[], object]) -> list[Ended]:
    """Call a function in so many processes, with the environment that torchrun gives to them; return how they ended."""
    warm_up()
    reserved = reserved_port()
    port = reserved.getsockname()[1]

    def as_rank(rank: int) -> None:
        numbers = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "MASTER_PORT": port}
        numbers |= {"WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
        os.environ |= {name: str(number) for name, number in numbers.items()}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "tests"}
        work()

    with reserved:
        children = [started(folder, lambda rank=rank: as_rank(rank)) for rank in range(processes)]
        return [child.wait() for child in children]


def succeeded(ended: list[Ended]) -> bool:
    """Return True if all processes did; fail with what the others said."""
    for process in ended:
        assert process.code == 0, process.err[-3000:]
    return True
