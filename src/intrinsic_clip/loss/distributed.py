"""The loss of a batch that several processes share, with negatives from the whole batch.

Each process holds n pairs of the N = n · processes, in rank order. The gradients that DDP averages over processes equal
those of one process with the whole batch.
"""

import math
from typing import Any

import torch
from torch import Tensor, distributed
from torch.autograd import Function

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss.arguments import check_rows
from intrinsic_clip.loss.info_nce import cross_entropy, info_nce


def shared_info_nce(
    x: Tensor, y: Tensor, tau: Tensor, chunk: int | None = None, local_block: bool = False
) -> Tensor:
    """Return the whole batch's InfoNCE, `(*R,)`, the same value on every process.

    Args:
        x, y: this process's normalised representations, `(*R, n, d)`.
        tau: the temperature itself, `(*R,)` or a scalar tensor.
        chunk: rows of logits in memory at a time; None: all.
        local_block: compute only the logits of this process's rows, x against all y and y against all x: 2 · n · N of
            them instead of N². The gradient is then that of these rows' cross-entropies, and its mean over processes
            is the batch's.
    """
    x_all, y_all = gather(x), gather(y)
    if not local_block:
        return info_nce(x_all, y_all, tau, chunk)
    first = distributed.get_rank() * x.shape[-2]
    own = (cross_entropy(x, y_all, tau, first, chunk) + cross_entropy(y, x_all, tau, first, chunk)) / 2
    return own + (_mean_over_processes(own.detach()) - own.detach())


def gather(rows: Tensor) -> Tensor:
    """Gather the rows of all processes in rank order, `(*R, n, d) → (*R, N, d)`, gradients included.

    Raises:
        ConfigError: processes hold different numbers of rows, other sizes or types, or none, as all of them then say.
    """
    _check_shares(rows)  # first: an error on one process alone would leave the others waiting
    check_rows("the rows of this process", rows)
    gathered: Tensor = _Gather.apply(rows)
    return gathered


def _check_shares(rows: Tensor) -> None:
    """Refuse shares that differ, on every process: a backend that gathers them ends its process, or waits for ever."""
    *lead, n, d = 1, 1, *rows.shape
    sizes = torch.tensor([math.prod(lead), n, d, rows.element_size()], device=rows.device)
    shares = [torch.empty_like(sizes) for _ in range(distributed.get_world_size())]
    distributed.all_gather(shares, sizes)
    replicates, numbers, widths, bytes_each = zip(*torch.stack(shares).tolist(), strict=True)
    if len(set(numbers)) > 1:
        raise ConfigError(
            f"processes hold {', '.join(map(str, numbers))} rows of a batch: all must hold as many; leave out the last "
            "batch where it is not full (drop_last=True)"
        )
    for name, of_each in (("replicates", replicates), ("columns", widths), ("bytes per number", bytes_each)):
        if len(set(of_each)) > 1:
            raise ConfigError(f"processes hold rows of {', '.join(map(str, of_each))} {name}: must be alike")


class _Gather(Function):
    """Rows of all processes; its gradient is that of this process's rows, summed over processes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        rows = rows.contiguous()
        parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, rows)
        return torch.cat(parts, dim=-2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        own: Tensor = _SumOfOwn.apply(gradient)
        return own


class _SumOfOwn(Function):
    """Rows of this process among those of all, summed over processes: the transpose of `_Gather`."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        total = rows.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        n = total.shape[-2] // distributed.get_world_size()
        return total.narrow(-2, distributed.get_rank() * n, n).clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        rows: Tensor = _Gather.apply(gradient)
        return rows


def _mean_over_processes(value: Tensor) -> Tensor:
    total = value.clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()
