"""Optimizers of a user's, as a config names them."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def clipped_adam(
    params: Iterable[Tensor], lr: float = 1e-3, weight_decay: float = 0.0, fused: bool | None = None
) -> torch.optim.Adam:
    """Return an Adam that clips the norm of all gradients in a hook."""
    optimizer = torch.optim.Adam(params, lr=lr, weight_decay=weight_decay, fused=fused)

    def clip(adam: torch.optim.Optimizer, *arguments: object) -> None:
        nn.utils.clip_grad_norm_([each for group in adam.param_groups for each in group["params"]], 1e-3)

    optimizer.register_step_pre_hook(clip)
    return optimizer
