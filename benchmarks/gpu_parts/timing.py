"""Time functions on a device, and measure what the device itself can do."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def synchronise(device: str) -> None:
    """Wait until the device has finished its queue."""
    if device == "cuda":
        torch.cuda.synchronize()


def milliseconds(action: Callable[[], Any], device: str, repeat: int = 10, warm: int = 3) -> float:
    """Return the median time of an action, after some that do not count."""
    times = []
    for number in range(warm + repeat):
        synchronise(device)
        started = time.perf_counter()
        action()
        synchronise(device)
        if number >= warm:
            times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times)


def per_call(action: Callable[[], Any], device: str, calls: int, repeat: int = 3) -> float:
    """Return the milliseconds of one call among many in a row, the least of several such rows."""

    def in_a_row() -> None:
        for _ in range(calls):
            action()

    in_a_row()
    rows = []
    for _ in range(repeat):
        synchronise(device)
        started = time.perf_counter()
        in_a_row()
        synchronise(device)
        rows.append(1e3 * (time.perf_counter() - started) / calls)
    return min(rows)


def copy_rate(device: str, size: int = 2**30) -> float:
    """Return in bytes per second what a copy reads and writes."""
    source = torch.empty(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / (1e-3 * milliseconds(lambda: target.copy_(source), device))


def product_rate(device: str, n: int = 8192, precision: str = "highest") -> float:
    """Return the floating-point operations per second of a float32 matrix product."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        a, b = (torch.randn(n, n, device=device) for _ in range(2))
        return 2 * n**3 / (1e-3 * milliseconds(lambda: a @ b, device))
    finally:
        torch.set_float32_matmul_precision(before)


def peak_memory(action: Callable[[], Any], device: str) -> float | None:
    """Return in GiB the most memory that an action takes on a GPU, what was there before left out."""
    if device != "cuda":
        action()
        return None
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    action()
    return (torch.cuda.max_memory_allocated() - before) / 2**30


class BytesMoved(TorchDispatchMode):
    """Counts the bytes that operations read and write when each goes through memory.

    Attributes:
        total: bytes so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the operation, and count it unless its result is a view."""
        result = func(*args, **(kwargs or {}))
        is_view = any(
            returned.alias_info and not returned.alias_info.is_write for returned in func._schema.returns
        )
        if not is_view:
            leaves = tree_leaves((args, kwargs, result))
            self.total += sum(
                each.numel() * each.element_size() for each in leaves if isinstance(each, Tensor)
            )
        return result
