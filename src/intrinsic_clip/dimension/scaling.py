"""The power of two by which points are scaled before they are squared."""

import math

import torch
from torch import Tensor

SMALL, LARGE = 1e-60, 1e60  # fourth powers neither overflow nor vanish; all of single precision lies between


def exponent_of(points: Tensor) -> int:
    """Return e such that points / 2^e have a largest component of about 1: squares neither overflow nor vanish.

    A power of two rounds nothing.
    """
    return min(max(math.frexp(float(torch.linalg.vector_norm(points, math.inf)))[1], -1000), 1000)


def power_of_two(exponent: Tensor) -> Tensor:
    """Return 2^exponent in float64, exactly."""
    return ((exponent.long() + 1023) << 52).view(torch.float64)


def scale_of(rows: Tensor, axes: int | tuple[int, ...] = (-2, -1)) -> Tensor:
    """Return the powers of two to divide extreme rows by, float64, with the given axes kept as 1.

    They are 1 where the largest component is 0, not finite, or so moderate that its fourth power is a number.
    """
    largest = torch.linalg.vector_norm(rows.double(), math.inf, axes, keepdim=True)
    extreme = largest.isfinite() & (largest > 0) & ~((largest > SMALL) & (largest < LARGE))
    return power_of_two(torch.frexp(largest.where(extreme, 0.5)).exponent.clamp(-1000, 1000))
