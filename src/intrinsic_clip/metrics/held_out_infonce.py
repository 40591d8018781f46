"""The InfoNCE bound at the temperature that suits other pairs, so that a small learned τ cannot spoil it."""

import math

from intrinsic_clip.dimension.arrays import Rows
from intrinsic_clip.metrics.alignment import as_pairs
from intrinsic_clip.metrics.information import infonce_bound
from intrinsic_clip.metrics.information_estimate import (
    MARGIN,
    InformationEstimate,
    Pairs,
    Part,
    cross_fitted,
)
from intrinsic_clip.metrics.optimal_temperature import (
    MOST_ROWS,
    limits,
    optimal_temperature,
    similarity_gaps,
    spread_of,
)

HALVINGS = 21  # of the interval of log τ


def held_out_infonce_bound(x: Rows, y: Rows, seed: int = 0) -> InformationEstimate:
    """Return InfoNCE's lower bound at the τ that is best for the other half of the pairs, mean of both halves.

    A temperature that is learned on training pairs can be far too small for held-out ones; their bound at it falls
    below 0 although there is information. Here the τ of `optimal_temperature` is fitted on half of the given pairs and
    the bound, `infonce_bound`, taken on the other half. It holds in expectation, and is at most log(n / 2); a value
    within 1 nat of that is `saturated`, and only says that there is at least so much.

    Poole, Ozair, van den Oord, Alemi, Tucker, *On variational bounds of mutual information*, ICML 2019, on log n.

    Args:
        x, y: normalised as for the loss, `(*R, n, d)`; row i of x and row i of y are a pair. Held-out rows.
        seed: of the deal into halves.

    Raises:
        ValueError: x and y differ in shape, or there are fewer than 16 pairs.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import held_out_infonce_bound, infonce_bound
        >>> noise = torch.Generator().manual_seed(0)
        >>> x = torch.randn(512, 16, generator=noise)
        >>> y = x + 1.5 * torch.randn(512, 16, generator=noise)
        >>> x, y = (torch.nn.functional.normalize(side, dim=-1) for side in (x, y))
        >>> float(infonce_bound(x, y, 0.01).mean) < 0 < float(held_out_infonce_bound(x, y).value)
        True
    """
    return cross_fitted(*as_pairs(x, y), _bound, seed)


def _bound(fit: Pairs, held_out: Pairs) -> Part:
    n = len(held_out[0])
    tau = float(optimal_temperature(*fit))
    if math.isinf(tau):
        return Part(0.0)  # of logits that are all 0
    value = _bound_at(held_out, tau or _sharp_enough(fit))
    if value > math.log(n) - MARGIN:
        reason = (
            f"the bound is within {MARGIN:g} nat of log {n:,}, the most that so many held-out pairs can show"
        )
        return Part(value, True, reason)
    return Part(value)


def _bound_at(pairs: Pairs, tau: float) -> float:
    return float(infonce_bound(pairs[0] / tau, pairs[1], 1.0).mean)


def _sharp_enough(pairs: Pairs) -> float:
    """Return the largest τ at which the loss of pairs that are all matched is below 1 / n.

    The loss falls as τ goes to 0, and a τ near 0 would punish one mistaken pair among the held-out ones without limit.
    """
    n = len(pairs[0])
    spread = spread_of([similarity_gaps(*(side[:MOST_ROWS] for side in pairs))])
    low, high = limits(spread)  # of log 1/τ
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        is_sharp = math.log(n) - _bound_at(pairs, math.exp(-middle)) <= 1 / n
        low, high = (low, middle) if is_sharp else (middle, high)
    return math.exp(-high)
