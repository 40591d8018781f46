"""Find the temperature at which fixed representations have the lowest InfoNCE loss."""

import math
import sys
from collections.abc import Sequence

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows, whole_number
from intrinsic_clip.dimension.scaling import scale_of
from intrinsic_clip.metrics.alignment import as_pairs, each_replicate
from intrinsic_clip.seeding import seeded

LOWEST, HIGHEST = 1e-5, 1e4  # of τ, relative to how far similarities are from those of partners
HALVINGS = 27  # of the interval of log 1/τ, to seven digits
ROUNDING = 1e-14  # of inner products, relative: what differs by less does not differ
MOST_ROWS = 4096  # of one batch, whose similarities are in memory


@torch.no_grad()
def optimal_temperature(x: Rows, y: Rows, batch_size: int | None = None) -> Tensor:
    """Return the τ at which the symmetric InfoNCE loss of paired rows is lowest, `(*R,)` float64.

    The loss is convex in 1/τ, so the place where its slope is 0 is found by halving an interval. It depends on the
    number of candidates, so rows should be compared in batches as large as those of training: a τ that is far above
    the best one for held-out rows leaves the model under-confident, one that is far below over-confident. It scales
    with the rows: twice as long on both sides, they have four times the τ.

    Args:
        x, y: normalised as for the loss, `(*R, n, d)`; row i of x and row i of y are a pair.
        batch_size: rows that are compared with each other; the rows are dealt at random. None: all.

    Returns:
        0 where each partner is the nearest of its batch, so that the loss falls as τ goes to 0; infinity where
        similarities do not favour partners, so that the loss falls as τ grows, or are all alike; otherwise a number
        between, or NaN where that is beyond what float64 holds.

    Raises:
        ValueError: x and y differ in shape, there are fewer than two rows, or batch_size is below 1.

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
    *replicates, n, _ = x.shape
    if n < 2:
        raise ValueError(f"the temperature of InfoNCE needs at least two pairs, got {n}")
    size = min(n, MOST_ROWS, n if batch_size is None else whole_number("batch_size", batch_size, 1))
    order = torch.randperm(n, generator=seeded(0))[: n - n % size].to(x.device)
    taus = [
        _optimum_of_rows(x_r[order].double(), y_r[order].double(), size) for x_r, y_r in each_replicate(x, y)
    ]
    return torch.tensor(taus, dtype=torch.float64, device=x.device).reshape(replicates)


def limits(spread: float) -> tuple[float, float]:
    """Return the logarithms of the lowest and the highest 1/τ to search.

    Inner products may have any scale, and what is added to all of a row counts for nothing in a loss.

    Args:
        spread: root mean square of similarities minus those of partners.
    """
    return -math.log(HIGHEST * spread), -math.log(LOWEST * spread)


def similarity_gaps(x: Tensor, y: Tensor) -> Tensor:
    """Return inner products minus those of the row's and of the column's partners, `(2, n, n)` of `(n, d)`.

    The last axis is that of the candidates: y's rows for the first, x's for the second.
    """
    similarity = x @ y.T
    partners = similarity.diagonal().clone()
    gaps = torch.stack([similarity, similarity.T]).sub_(partners[:, None])
    # Rows that are all alike have products that differ by rounding.
    noise = ROUNDING * float(similarity.abs().max())
    return gaps.masked_fill_(gaps.abs() <= noise, 0.0)


def spread_of(gaps: Sequence[Tensor]) -> float:
    """Return the root mean square of gaps that are alike in shape."""
    return math.sqrt(sum(float(batch.square().mean()) for batch in gaps) / len(gaps))


def _optimum_of_rows(x: Tensor, y: Tensor, size: int) -> float:
    """Return the best τ of rows `(n, d)` in batches of a size; squares of extreme ones would overflow or vanish."""
    if not bool(x.isfinite().all() and y.isfinite().all()):
        return math.nan
    scales = [scale_of(side) for side in (x, y)]
    scaled = ((side / scale).split(size) for side, scale in zip((x, y), scales, strict=True))
    tau = _optimum(*scaled)
    if tau in (0.0, math.inf):
        return tau
    found = tau * float(scales[0]) * float(scales[1])
    return found if sys.float_info.min <= found < math.inf else math.nan


def _optimum(x: tuple[Tensor, ...], y: tuple[Tensor, ...]) -> float:
    """Return the best τ of batches."""
    gaps = [similarity_gaps(x_b, y_b) for x_b, y_b in zip(x, y, strict=True)]
    spread = spread_of(gaps)
    if spread == 0:
        return math.inf
    low, high = limits(spread)
    if _slope(gaps, math.exp(high)) <= 0:
        return 0.0
    if _slope(gaps, math.exp(low)) >= 0:
        return math.inf
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _slope(gaps, math.exp(middle)) < 0 else (low, middle)
    return math.exp(-(low + high) / 2)


def _slope(gaps: list[Tensor], scale: float) -> float:
    """Return the derivative of the mean loss with respect to 1/τ: the expected gap."""
    return sum(float(((scale * batch).softmax(-1) * batch).sum(-1).mean()) for batch in gaps)
