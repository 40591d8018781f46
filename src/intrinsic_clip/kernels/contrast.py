"""Compute symmetric InfoNCE and its gradients by the C++ kernel, which `loss.info_nce` takes from autograd."""

from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.kernels import library
from intrinsic_clip.kernels.places import check_rows, taus
from intrinsic_clip.loss.first_derivatives import first_derivatives_only

LARGEST_BATCH = 2048  # each thread holds two matrices of n × n logits


def why_not(n: int, chunk: int | None) -> str | None:
    """Return why the kernel does not compute the loss of n pairs; None: it does.

    Args:
        n: pairs of a batch.
        chunk: the most rows of logits that may be in memory.
    """
    if chunk is not None and chunk < n:
        return f"objective.chunk={chunk} keeps most of the logits out of memory"
    return None if n <= LARGEST_BATCH else f"batches of more than {LARGEST_BATCH} pairs gain nothing"


def info_nce(x: Tensor, y: Tensor, tau: Tensor) -> Tensor:
    """Return the symmetric InfoNCE of paired float32 representations `(*R, n, d)`, `(*R,)`, as `loss.info_nce` does.

    The temperature, `(*R,)` or a scalar, may be of any type of numbers.

    Raises:
        ConfigError: the kernel cannot read the representations, or their shapes or that of the temperature do not fit.
    """
    for rows in (x, y):
        check_rows(rows)
    if x.shape != y.shape:
        raise ConfigError(
            f"x of shape {tuple(x.shape)} and y of shape {tuple(y.shape)}: both must be (*R, n, d) alike"
        )
    losses: Tensor = _InfoNCE.apply(x, y, taus(tau, x.shape[:-2]))
    return losses


class _InfoNCE(torch.autograd.Function):
    """Losses as a function of x, y and τ, whose gradients are computed at once, while the logits are in the cache."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, tau: Tensor) -> Tensor:
        x, y = x.contiguous(), y.contiguous()
        losses, gradients = torch.empty_like(tau), [torch.empty_like(tensor) for tensor in (x, y, tau)]
        library.load().info_nce(
            tau.numel(),
            *x.shape[-2:],
            *(tensor.data_ptr() for tensor in (x, y, tau, losses, *gradients)),
            library.threads(),
        )
        ctx.gradients = gradients
        return losses

    @staticmethod
    @first_derivatives_only("the C++ kernel of InfoNCE", "set kernel=none", one_at_a_time=False)
    def backward(ctx: Any, cotangents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, y, tau = ctx.gradients
        return x * cotangents[..., None, None], y * cotangents[..., None, None], tau * cotangents
