"""Bring the rows of several processes together, measure them once, and give all the same numbers."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Result = TypeVar("Result")


def several() -> bool:
    """Return whether this process is one of several that can talk to each other."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def shared_by_all(share: Any) -> list[Any]:
    """Return what every process gives, in the order of their ranks."""
    shares: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(shares, share)
    return shares


def checked_together(read: Callable[[], Result], kind: Callable[[Result], Any]) -> Result:
    """Read this process's rows, and raise in all processes what one of them has to raise, or what differs.

    Args:
        read: returns them.
        kind: returns what must be equal in all processes that have rows, such as widths; empty where there are none.

    Raises:
        ValueError: a process's rows are none, or of another kind than the first process's that has some.
    """
    rows: Result | None = None
    share: tuple[str | None, Any]
    try:
        rows = read()
        share = None, kind(rows)
    except ValueError as error:
        share = str(error), None
    shares = shared_by_all(share)
    first = next((rank for rank, (_, its_kind) in enumerate(shares) if its_kind), 0)
    for rank, (message, its_kind) in enumerate(shares):
        if message is not None:
            raise ValueError(message)
        if its_kind and its_kind != shares[first][1]:
            raise ValueError(
                f"process {rank} has rows of another kind than process {first}: {its_kind}, {shares[first][1]}"
            )
    assert rows is not None
    return rows


def concatenated(parts: list[dict[str, Tensor]], device: torch.device) -> dict[str, Tensor]:
    """Return the rows of all processes, one below the other; an empty dict stands for a process without rows."""
    parts = [part for part in parts if part]
    return {
        name: torch.cat([part[name].to(device) for part in parts]) for name in (parts[0] if parts else {})
    }


def by_the_first(work: Callable[[], Result]) -> Result:
    """Return in all processes what the first one calculates."""
    box: list[Any] = [work() if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(box, src=0)
    result: Result = box[0]
    return result
