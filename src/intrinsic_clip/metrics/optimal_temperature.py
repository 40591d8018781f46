"""Find the temperature at which fixed representations have the lowest InfoNCE loss."""

import math

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows
from intrinsic_clip.metrics.alignment import as_pairs

LOWEST, HIGHEST = 1e-4, 1e2  # of τ
HALVINGS = 26  # of the interval of log 1/τ, to seven digits
MOST_ROWS = 4096  # of one batch, whose similarities are in memory


@torch.no_grad()
def optimal_temperature(x: Rows, y: Rows, batch_size: int | None = None) -> Tensor:
    """Return the τ at which the symmetric InfoNCE loss of paired rows is lowest, `(*R,)` float64.

    The loss is convex in 1/τ, so the place where its slope is 0 is found by halving an interval. It depends on the
    number of candidates, so rows should be compared in batches as large as those of training: a τ that is far above
    the best one for held-out rows leaves the model under-confident, one that is far below over-confident.

    Args:
        x, y: normalised as for the loss, `(*R, n, d)`; row i of x and row i of y are a pair.
        batch_size: rows that are compared with each other; the rows are dealt at random. None: all.

    Returns:
        0 where each partner is the nearest of its batch, so that the loss falls as τ goes to 0; infinity where
        similarities do not favour partners, so that the loss falls as τ grows; otherwise a number between.

    Raises:
        ValueError: x and y differ in shape, or there are fewer than two rows.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import optimal_temperature
        >>> noise = torch.Generator().manual_seed(0)
        >>> x = torch.randn(512, 16, generator=noise)
        >>> y = x + 1.5 * torch.randn(512, 16, generator=noise)
        >>> x, y = (torch.nn.functional.normalize(side, dim=-1) for side in (x, y))
        >>> 0.05 < float(optimal_temperature(x, y, batch_size=128)) < 0.5
        True
    """
    x, y = as_pairs(x, y)
    *replicates, n, d = x.shape
    if n < 2:
        raise ValueError(f"the temperature of InfoNCE needs at least two pairs, got {n}")
    size = min(n, MOST_ROWS, batch_size or n)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))[: n - n % size].to(x.device)
    sides = (side.reshape(-1, n, d)[:, order].double() for side in (x, y))
    taus = [
        _optimum(x_r.split(size), y_r.split(size)) if bool((x_r + y_r).isfinite().all()) else math.nan
        for x_r, y_r in zip(*sides, strict=True)
    ]
    return torch.tensor(taus, dtype=torch.float64, device=x.device).reshape(replicates)


def _optimum(x: tuple[Tensor, ...], y: tuple[Tensor, ...]) -> float:
    """Return the best τ of batches."""
    low, high = -math.log(HIGHEST), -math.log(LOWEST)  # log 1/τ
    similarities = [x_b @ y_b.T for x_b, y_b in zip(x, y, strict=True)]
    if _slope(similarities, math.exp(high)) <= 0:
        return 0.0
    if _slope(similarities, math.exp(low)) >= 0:
        return math.inf
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _slope(similarities, math.exp(middle)) < 0 else (low, middle)
    return math.exp(-(low + high) / 2)


def _slope(similarities: list[Tensor], scale: float) -> float:
    """Return the derivative of the mean loss with respect to 1/τ: expected similarity minus that of partners."""
    total = 0.0
    for similarity in similarities:
        logits = scale * similarity
        expected = sum(float((logits.softmax(axis) * similarity).sum(axis).mean()) for axis in (0, 1)) / 2
        total += expected - float(similarity.diagonal().mean())
    return total
