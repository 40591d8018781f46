"""Hold an estimate of mutual information, fitted on one half of the pairs and taken on the other."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.dimension.scaling import scale_of
from intrinsic_clip.metrics.alignment import each_replicate
from intrinsic_clip.seeding import seeded

FEWEST = 16  # pairs
MARGIN = 1.0  # nats: so near to the most that n rows can show, an estimate says little

Pairs = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class InformationEstimate:
    """An estimate of I(X; Y) in nats from paired rows.

    Attributes:
        value: `(*R,)` float64; NaN where no number can be trusted.
        saturated: `(*R,)` bool: there is more information than so many rows can show. A lower bound is kept then, since
            it still holds; other values are NaN.
        reason: one line that says why (some of) the values are NaN or saturated, else None.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import held_out_infonce_bound
        >>> estimate = held_out_infonce_bound(torch.eye(64), torch.eye(64))  # the information is infinite
        >>> bool(estimate.saturated), round(float(estimate.value), 1)  # log 32 is 3.47
        (True, 3.4)
    """

    value: Tensor
    saturated: Tensor
    reason: str | None = None


class Part(NamedTuple):
    """The estimate of one replicate's held-out half.

    Attributes:
        value: in nats.
        saturated: whether half the rows cannot show so much information.
        reason: why the value is NaN or saturated.
    """

    value: float
    saturated: bool = False
    reason: str | None = None


@torch.no_grad()
def cross_fitted(
    x: Tensor, y: Tensor, estimate: Callable[[Pairs, Pairs], Part], seed: int, most_rows: int | None = None
) -> InformationEstimate:
    """Fit on either half of the pairs, take the estimate on the other one, and average both ways.

    Args:
        x, y: `(*R, n, p_x)` and `(*R, n, p_y)`.
        estimate: called with the pairs to fit on, `(h, p_x)` and `(h, p_y)`, and as many to take the estimate on.
        seed: of the deal into halves, which all replicates share.
        most_rows: of a half; None: no limit.

    Raises:
        ValueError: there are too few pairs.
    """
    *replicates, n, _ = x.shape
    if n < FEWEST:
        raise ValueError(f"mutual information needs at least {FEWEST} pairs, got {n}")
    half = min(n // 2, most_rows or n)
    order = torch.randperm(n, generator=seeded(seed))[: 2 * half].to(x.device)
    flat = math.prod(replicates)
    values = torch.full((flat,), math.nan, dtype=torch.float64)
    saturated = torch.zeros(flat, dtype=torch.bool)
    reasons: dict[str, None] = {}
    for r, rows in enumerate(each_replicate(x, y)):
        if not all(bool(side.isfinite().all()) for side in rows):
            reasons["a representation is not finite"] = None
            continue
        scaled = [side.double() / scale_of(side) for side in rows]  # information does not depend on the scale
        first, second = ((scaled[0][part], scaled[1][part]) for part in order.split(half))
        parts = [estimate(first, second), estimate(second, first)]
        values[r] = sum(part.value for part in parts) / 2
        saturated[r] = any(part.saturated for part in parts)
        reasons |= dict.fromkeys(part.reason for part in parts if part.reason is not None)
    return InformationEstimate(
        values.reshape(replicates).to(x.device),
        saturated.reshape(replicates).to(x.device),
        next(iter(reasons), None),
    )
