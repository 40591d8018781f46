"""The loss of a batch that several processes share, with negatives from the whole batch.

Each process holds n pairs of the N = n · processes, in rank order. The gradients that DDP averages over processes equal
those of one process with the whole batch.
"""

import torch.distributed.nn
from torch import Tensor, distributed

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
    """Gather the rows of all processes in rank order, `(*R, n, d) → (*R, N, d)`, gradients included."""
    gathered = torch.distributed.nn.all_gather(rows.contiguous())
    for part in gathered:
        if (
            part.requires_grad
        ):  # PyTorch sends gradients as they lie in memory, and takes them for contiguous ones
            part.register_hook(torch.Tensor.contiguous)
    return torch.cat(gathered, dim=-2)


def _mean_over_processes(value: Tensor) -> Tensor:
    total = value.clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()
