"""Bring the rows of several processes together, measure them once, and give all the same numbers."""

import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

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
        Exception: what `read` raises in a process.
    """
    rows: Result | None = None
    share: tuple[tuple[bytes, str] | None, Any]
    failure: Exception | None = None
    try:
        rows = read()
        share = None, kind(rows)
    except Exception as error:  # of any type: the others would wait for this process
        failure, share = error, (_packed(error), None)
    shares = shared_by_all(share)
    first = next((rank for rank, (_, its_kind) in enumerate(shares) if its_kind), 0)
    for rank, (packed, its_kind) in enumerate(shares):
        if packed is not None:
            raise failure if failure is not None and rank == dist.get_rank() else _unpacked(packed, rank)
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
    """Return in all processes what the first one calculates, or raise in all of them what it raises.

    Raises:
        Exception: what `work` raises; a RuntimeError with its words where the type cannot be sent.
    """
    box: list[Any] = [None, None]
    failure: Exception | None = None
    if dist.get_rank() == 0:
        try:
            result = work()
            box[0] = pickle.dumps(result)
        except Exception as error:  # of any type: the others would wait for the first
            failure, box[1] = error, _packed(error)
    dist.broadcast_object_list(box, src=0)
    if failure is not None:
        raise failure
    if box[1] is not None:
        raise _unpacked(box[1], 0)
    return result if dist.get_rank() == 0 else cast(Result, pickle.loads(box[0]))


def _packed(error: Exception) -> tuple[bytes, str]:
    """Return an error as bytes, empty where it cannot be sent, and in words."""
    words = f"{type(error).__name__}: {error}"
    try:
        return pickle.dumps(error), words
    except Exception:  # whatever a class's own __reduce__ raises
        return b"", words


def _unpacked(packed: tuple[bytes, str], rank: int) -> Exception:
    """Return the error of another process, or one that has its words."""
    sent, words = packed
    with suppress(Exception):  # a type that only that process has, or whose arguments are not its message
        error = pickle.loads(sent)
        if isinstance(error, Exception):
            return error
    return RuntimeError(f"process {rank} failed: {words}")
