"""Means, changes and noise of a course of values during training."""

import math

import torch
from torch import Tensor

# A standard error from ten twentieths is uncertain itself: without this, three of them were passed in 6 % of courses
# that stayed where they were, with noise that lasted for a twentieth of training.
FEW_BLOCKS = 1.3
SUDDEN = 4  # times what else moves in as few steps


def edge(values: Tensor, centre: float) -> Tensor:
    """Return the mean over a twentieth of the values around a place between 0 and 1."""
    n = len(values)
    width = max(1, n // 20)
    first = min(max(0, round(centre * n - width / 2)), n - width)
    return values[first : first + width].mean()


def change(values: Tensor, until: float = 1.0) -> float:
    """Return the change over the quarter that ends there, from means over twentieths at its ends."""
    return float(edge(values, until - 0.025) - edge(values, until - 0.225)) * 0.25 / 0.2


def fall(values: Tensor) -> float:
    """Return by how much values fell in all, from means over twentieths at both ends."""
    return float(edge(values, 0.025) - edge(values, 0.975))


def noise(values: Tensor) -> float:
    """Return the standard error of such a change, from the last half.

    It is the larger of two: from differences of neighbouring values, as if these were independent, and from how
    twentieths lie about a parabola, which counts noise that lasts for many steps, and not a fall that levels off.
    """
    late, width = values[len(values) // 2 :], max(1, len(values) // 20)
    alone = float(late.diff().std()) / math.sqrt(2 * width)
    means = late[len(late) % width :].reshape(-1, width).mean(1)
    line = torch.arange(len(means), dtype=means.dtype, device=means.device) - (len(means) - 1) / 2
    residual = means - means.mean()
    for curve in (line, line.square() - line.square().mean()):
        residual = residual - (residual @ curve) / (curve @ curve) * curve
    together = FEW_BLOCKS * math.sqrt(float(residual @ residual) / (len(means) - 3))
    return max(alone, together) * math.sqrt(2) * 0.25 / 0.2


def jump(values: Tensor, least: float) -> float:
    """Return by how much values moved at once within the last quarter, and stayed there; 0 where they did not.

    A jump is within a hundredth of all values, at least `SUDDEN` times any other move of the last half over as many,
    and the means over up to a twentieth of the values before and behind it differ by more than half of it. `noise`
    does not show it: a late jump counts as noise there.
    """
    n = len(values)
    width, near = max(1, n // 100), max(1, n // 20)
    late = values[n // 2 :]
    moves = late[width:] - late[:-width]
    begun = len(late) - n // 4  # the jump is behind it
    at = begun + int(moves[begun:].abs().argmax())
    size, others = float(moves[at]), torch.cat([moves[: max(0, at - 2 * width)], moves[at + 2 * width :]])
    stays = late[at + width : at + width + near].mean() - late[max(0, at + 1 - near) : at + 1].mean()
    sudden = abs(size) > max(least, SUDDEN * float(others.abs().max()))
    return size if sudden and float(stays) * size > size * size / 2 else 0.0


def blocks(values: Tensor, count: int = 20) -> Tensor:
    """Return means over consecutive blocks."""
    size = max(1, len(values) // count)
    return values[: len(values) - len(values) % size].reshape(-1, size).mean(1)
