"""Take the final numbers of a training from its probes, one per replicate."""

import math
from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.training.build import Training


def final_numbers(training: Training) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the last value of each number by name, `(*R,)` each, and why some are NaN.

    A callback of the user's may hold anything: one number counts for all replicates, and what is no number per
    replicate is NaN, since it must not cost a training that is done.
    """
    shape = training.module.replicates.shape
    numbers: dict[str, Tensor] = {}
    reasons: dict[str, str] = {}
    for probe in training.probes:
        reasons |= probe.reasons
        for name, value in sorted(probe.latest.items(), key=lambda item: item[0]):
            try:
                numbers[name] = _per_replicate(value, shape)
            except (ValueError, TypeError, RuntimeError) as error:
                numbers[name] = torch.full(shape, math.nan)
                reasons[name] = f"{type(probe).__name__}.latest: {error}"
    return numbers, reasons


def _per_replicate(value: Any, shape: tuple[int, ...]) -> Tensor:
    number = torch.as_tensor(value).detach()
    if number.shape != shape and number.numel() != 1:
        raise ValueError(f"must be one value per replicate, shape {shape}, got {tuple(number.shape)}")
    return number if number.shape == shape else number.reshape(()).expand(shape)
