"""Pairs of views with known shared latents."""

import torch
from torch import Tensor


def tanh_world(
    k: int, n: int = 1500, private: int = 2, width: int = 12, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return two views of k shared and some private Gaussian latents, each through a random tanh layer."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, k, generator=generator)
    views = []
    for _ in range(2):
        latents = torch.cat([z, torch.randn(n, private, generator=generator)], 1)
        hidden = torch.tanh(0.5 * latents @ torch.randn(k + private, 48, generator=generator))
        view = hidden @ torch.randn(48, width, generator=generator)
        views.append(view / view.std() + 0.02 * torch.randn(n, width, generator=generator))
    return views[0], views[1]
