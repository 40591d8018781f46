"""Means, changes and noise of a course of values during training."""

import math

from torch import Tensor


def edge(values: Tensor, centre: float) -> Tensor:
    """Return the mean over a twentieth of the values around a place between 0 and 1."""
    n = len(values)
    width = max(1, n // 20)
    first = min(max(0, round(centre * n - width / 2)), n - width)
    return values[first : first + width].mean()


def change(values: Tensor) -> float:
    """Return the change over the last quarter, from means over twentieths at its ends."""
    return float(edge(values, 0.975) - edge(values, 0.775)) * 0.25 / 0.2


def noise(values: Tensor) -> float:
    """Return the standard error of such a change, from differences of neighbouring values of the last half."""
    late = values[len(values) // 2 :]
    deviation = float(late.diff().std()) / math.sqrt(2)
    return deviation * math.sqrt(2 / max(1, len(values) // 20))


def blocks(values: Tensor, count: int = 20) -> Tensor:
    """Return means over consecutive blocks."""
    size = max(1, len(values) // count)
    return values[: len(values) - len(values) % size].reshape(-1, size).mean(1)
