"""Criteria that count the eigenvalues of a covariance matrix: the dimension of a linear space.

Each takes eigenvalues `(..., m)`, descending and not negative, with m ≥ 1 and the largest positive, and returns
`(...,)` float64. The criteria are those of `skdim.id.lPCA`, whose documentation names their sources.
"""

import math

import torch
from torch import Tensor


def fukunaga_olsen(eigenvalues: Tensor, alpha: float = 0.05) -> Tensor:
    """Count the eigenvalues larger than alpha times the largest (Fukunaga, Olsen, 1971)."""
    return (eigenvalues > alpha * eigenvalues[..., :1]).sum(-1).double()


def fan(eigenvalues: Tensor, gap: float = 10.0, share: float = 0.8, signal: float = 0.95) -> Tensor:
    """Count the eigenvalues up to the first large gap, or large share of the variance (Fan and others, 2010).

    A noise level is subtracted first: the mean of the eigenvalues from the one on with which the share `signal`
    of the variance is exceeded. The estimate is then the smallest number of eigenvalues after which the next is
    more than `gap` times smaller, or which hold more than `share` of the sum. Where one eigenvalue alone holds
    the share `signal` the estimate is 1 (scikit-dimension divides by a sum there that is 0 but for rounding);
    where no number qualifies, because all eigenvalues are equal, it is m.
    """
    m = eigenvalues.shape[-1]
    place = torch.arange(m, device=eigenvalues.device)
    sums = eigenvalues.cumsum(-1)
    crossing = _first(sums > signal * sums[..., -1:])[..., None]
    noise = eigenvalues.where(place >= crossing, 0.0).sum(-1, keepdim=True) / (m - crossing)
    signals = eigenvalues - noise
    held = signals.cumsum(-1)
    enough = held / held[..., -1:] > share
    enough[..., :-1] |= signals[..., :-1] / signals[..., 1:] > gap
    estimate = 1 + _first(enough).clamp_max(m - 1)
    return torch.where(crossing.squeeze(-1) == 0, 1, estimate).double()


def largest_gap(eigenvalues: Tensor) -> Tensor:
    """Count the eigenvalues up to the largest ratio of one to the next; the first that only zeros follow, if any."""
    ratios = eigenvalues[..., :-1] / eigenvalues[..., 1:]
    if not ratios.shape[-1]:
        return torch.ones_like(eigenvalues[..., 0])
    return 1 + ratios.nan_to_num(nan=0.0, posinf=math.inf).argmax(-1).double()


def variance_ratio(eigenvalues: Tensor, alpha: float = 0.05) -> Tensor:
    """Count the eigenvalues that it takes to hold the share alpha of the variance."""
    sums = eigenvalues.cumsum(-1)
    return 1 + (sums < alpha * sums[..., -1:]).sum(-1).double()


def participation_ratio(eigenvalues: Tensor) -> Tensor:
    """Return (Σ λ)² / Σ λ²: the number of equal eigenvalues that would be spread as evenly."""
    shares = eigenvalues / eigenvalues[..., :1]
    return shares.sum(-1).square() / shares.square().sum(-1)


def kaiser(eigenvalues: Tensor) -> Tensor:
    """Count the eigenvalues larger than their mean (Kaiser, 1960)."""
    return (eigenvalues > eigenvalues.mean(-1, keepdim=True)).sum(-1).double()


def broken_stick(eigenvalues: Tensor) -> Tensor:
    """Count the leading eigenvalues larger than the parts of a stick broken at random (Frontier, 1976).

    The i-th longest of m parts has the length Σ_{j≥i} 1 / (m j) on average.
    """
    m = eigenvalues.shape[-1]
    parts = (
        (1 / torch.arange(1, m + 1, dtype=torch.float64, device=eigenvalues.device)).flip(0).cumsum(0).flip(0)
    )
    shares = eigenvalues / eigenvalues.sum(-1, keepdim=True)
    return _first(parts / m > shares).double()


def _first(flags: Tensor) -> Tensor:
    """Return the index of the first True along the last axis, or the axis' length if there is none."""
    return torch.where(flags.any(-1), flags.double().argmax(-1), flags.shape[-1])
