"""Transform features before training: standardise them, or add noise."""

import math

import torch
from torch import Tensor

from intrinsic_clip.seeding import seeded

SQUARED = 50  # numbers up to 2 to this power can be squared and summed in single precision


def standardised(columns: Tensor, train: Tensor) -> Tensor:
    """Return features `(n, d)`, float32, minus their mean, divided by one number.

    Over the rows `train` each feature has mean 0, and the features have unit variance on average. This is computed
    in the precision of the features and rounded last, so that digits below a large mean are kept.
    """
    columns = _squarable(columns, train)
    centred = columns - columns[train].mean(0)
    scale = centred[train].square().mean().sqrt()
    return (centred / scale if scale > 0 else centred).float()


def _squarable(columns: Tensor, train: Tensor) -> Tensor:
    """Return features whose squares are numbers: those that are too large or small in double precision, scaled."""
    exponent = math.frexp(float(columns[train].abs().max()))[1] if len(train) else 0
    if abs(exponent) < SQUARED:
        return columns
    return columns.double() / 2.0 ** max(-1000, min(exponent, 1000))


def with_noise(rows: Tensor, sigma: float, seed: int) -> Tensor:
    """Return rows plus Gaussian noise of standard deviation `sigma`, so that repeats differ (paper, ImageNetV2)."""
    if sigma == 0:
        return rows
    return rows + sigma * torch.randn(rows.shape, generator=seeded(seed))
