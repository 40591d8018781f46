"""The power of two by which points are scaled before they are squared."""

import math

import torch
from torch import Tensor


def exponent_of(points: Tensor) -> int:
    """Return e such that points / 2^e have a largest component of about 1: squares neither overflow nor vanish.

    A power of two rounds nothing.
    """
    return min(max(math.frexp(float(torch.linalg.vector_norm(points, math.inf)))[1], -1000), 1000)
