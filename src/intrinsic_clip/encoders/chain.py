"""Take a replicated encoder apart for a kernel that computes it: its linear maps, and where rows of replicates lie."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from intrinsic_clip.encoders.replication import ReplicatedFeedForward, ReplicatedLinear, has_own_hooks

Parameters = Sequence[Tensor | None]  # per layer weight and bias


class Chain(NamedTuple):
    """An encoder as the kernel takes it.

    Attributes:
        shape: R.
        relus: per layer, whether a ReLU follows.
        parameters: per layer weight and bias.
    """

    shape: tuple[int, ...]
    relus: tuple[bool, ...]
    parameters: Parameters


def chain_of(encoder: nn.Module) -> Chain | None:
    """Return an encoder as a chain of linear maps with nothing but ReLU between them; None: it is something else."""
    if type(encoder) is not ReplicatedFeedForward:
        return None
    relus: list[bool] = []
    parameters: list[Tensor | None] = []
    for layer in encoder.layers:
        if type(layer) is ReplicatedLinear:
            relus.append(False)
            parameters += layer.weight, layer.bias
        elif type(layer) is nn.ReLU and relus and not relus[-1]:
            relus[-1] = True
        else:
            return None
    return None if not relus or relus[-1] else Chain(encoder.shape, tuple(relus), parameters)


def has_hooks(module: nn.Module) -> bool:
    """Return whether somebody wants to be called when a module, or one within it, is computed or differentiated.

    A spectral norm of `torch.nn.utils` is such a hook, and so is one on every module.
    """
    return has_own_hooks(module) or nn.modules.module._has_any_global_hook()


def laid_out(rows: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, tuple[int, ...]]:
    """Return rows, copied only if a row's numbers are apart, and the strides of `(*R, n, d)` in memory.

    Args:
        rows: `(*R, n, d)`, whose leading axes may be missing.
        shape: R.
    """
    if rows.stride(-1) != 1:
        rows = rows.contiguous()
    return rows, rows.expand(*shape, *rows.shape[-2:]).stride()


def replicate_offsets(shape: tuple[int, ...], strides: tuple[int, ...]) -> Tensor:
    """Return where each replicate begins, in numbers from the first, flat int64 in the order of R.

    Args:
        shape: R.
        strides: of its axes.
    """
    places = torch.zeros(shape, dtype=torch.int64)
    for axis, (length, stride) in enumerate(zip(shape, strides, strict=True)):
        places += (torch.arange(length) * stride).view(-1, *[1] * (len(shape) - axis - 1))
    return places.flatten()
