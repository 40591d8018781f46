"""How many of the eigenvalues of a covariance matrix count: criteria for the dimension of a linear space.

Each takes eigenvalues `(..., m)`, descending and not negative, m ≥ 1, the largest of them positive, and
returns `(...,)` float64. They are those of `skdim.id.lPCA`, which names their sources.
"""

import math

import torch
from torch import Tensor


def fukunaga_olsen(eigenvalues: Tensor, alpha: float = 0.05) -> Tensor:
    """How many are larger than alpha times the largest (Fukunaga, Olsen, 1971)."""
    return (eigenvalues > alpha * eigenvalues[..., :1]).sum(-1).double()


def fan(eigenvalues: Tensor, gap: float = 10.0, share: float = 0.8, signal: float = 0.95) -> Tensor:
    """The first large gap or share of the variance, after taking off a noise level (Fan and others, 2010).

    The noise level is the mean of the eigenvalues from that one on with which the share `signal` of the
    variance is exceeded. Of what is left the estimate is the fewest after which the next one is more than
    `gap` times smaller, or which hold more than `share` of the sum. An eigenvalue that holds the share `signal`
    alone makes it 1, where scikit-dimension divides by a sum that is 0 but for rounding; and if no number
    qualifies, because all eigenvalues are equal, it is m.
    """
    m = eigenvalues.shape[-1]
    place = torch.arange(m, device=eigenvalues.device)
    sums = eigenvalues.cumsum(-1)
    crossing = _first(sums > signal * sums[..., -1:])[..., None]
    noise = eigenvalues.where(place >= crossing, 0.0).sum(-1, keepdim=True) / (m - crossing)
    left = eigenvalues - noise
    held = left.cumsum(-1)
    enough = held / held[..., -1:] > share
    enough[..., :-1] |= left[..., :-1] / left[..., 1:] > gap
    estimate = 1 + _first(enough).clamp_max(m - 1)
    return torch.where(crossing.squeeze(-1) == 0, 1, estimate).double()


def largest_gap(eigenvalues: Tensor) -> Tensor:
    """After which one the ratio to the next is largest; the first that only zeros follow, if any."""
    ratios = eigenvalues[..., :-1] / eigenvalues[..., 1:]
    if not ratios.shape[-1]:
        return torch.ones_like(eigenvalues[..., 0])
    return 1 + ratios.nan_to_num(nan=0.0, posinf=math.inf).argmax(-1).double()


def variance_ratio(eigenvalues: Tensor, alpha: float = 0.05) -> Tensor:
    """How many it takes to hold the share alpha of the variance."""
    sums = eigenvalues.cumsum(-1)
    return 1 + (sums < alpha * sums[..., -1:]).sum(-1).double()


def participation_ratio(eigenvalues: Tensor) -> Tensor:
    """(Σ λ)² / Σ λ²: how many equal ones would be as even."""
    shares = eigenvalues / eigenvalues[..., :1]
    return shares.sum(-1).square() / shares.square().sum(-1)


def kaiser(eigenvalues: Tensor) -> Tensor:
    """How many are larger than their mean (Kaiser, 1960)."""
    return (eigenvalues > eigenvalues.mean(-1, keepdim=True)).sum(-1).double()


def broken_stick(eigenvalues: Tensor) -> Tensor:
    """How many lead before one is smaller than the part of a stick broken at random (Frontier, 1976).

    The i-th longest of m parts has the length Σ_{j≥i} 1 / (m j) on average.
    """
    m = eigenvalues.shape[-1]
    parts = (
        (1 / torch.arange(1, m + 1, dtype=torch.float64, device=eigenvalues.device)).flip(0).cumsum(0).flip(0)
    )
    shares = eigenvalues / eigenvalues.sum(-1, keepdim=True)
    return _first(parts / m > shares).double()


def _first(flags: Tensor) -> Tensor:
    """Index of the first True along the last axis; its length if there is none."""
    return torch.where(flags.any(-1), flags.double().argmax(-1), flags.shape[-1])
