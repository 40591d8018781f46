"""What is done to features before they are trained on."""

import torch
from torch import Tensor


def standardised(columns: Tensor, train: Tensor) -> Tensor:
    """Features `(n, d)` without their mean, divided by one number: unit variance on average over the rows `train`."""
    centred = columns - columns[train].mean(0)
    scale = centred[train].square().mean().sqrt()
    return centred / scale if scale > 0 else centred


def with_noise(rows: Tensor, sigma: float, seed: int) -> Tensor:
    """Rows plus Gaussian noise of this standard deviation, so that repeated ones differ (paper, ImageNetV2)."""
    if sigma == 0:
        return rows
    return rows + sigma * torch.randn(rows.shape, generator=torch.Generator().manual_seed(seed))
