"""Transform features before training: standardise them, or add noise."""

import torch
from torch import Tensor


def standardised(columns: Tensor, train: Tensor) -> Tensor:
    """Return features `(n, d)` minus their mean, divided by one number.

    Over the rows `train` each feature has mean 0, and the features have unit variance on average.
    """
    centred = columns - columns[train].mean(0)
    scale = centred[train].square().mean().sqrt()
    return centred / scale if scale > 0 else centred


def with_noise(rows: Tensor, sigma: float, seed: int) -> Tensor:
    """Return rows plus Gaussian noise of standard deviation `sigma`, so that repeats differ (paper, ImageNetV2)."""
    if sigma == 0:
        return rows
    return rows + sigma * torch.randn(rows.shape, generator=torch.Generator().manual_seed(seed))
