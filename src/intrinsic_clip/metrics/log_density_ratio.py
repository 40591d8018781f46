"""Fit a log density ratio b s + c to the similarities s of pairs and of other combinations of rows.

A fit takes many passes over n² similarities; those that are nearly equal are counted together first. A bound that is
taken on other rows holds whatever the fit, so that nothing is lost but a little of its height.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from intrinsic_clip.metrics.optimal_temperature import HALVINGS, ROUNDING, limits

BINS = 2**16
NEWTON_STEPS = 60
SMALL_STEP = 1e-9  # of slope and constant, relative
TIED = 1e-6  # of similarities, relative: of equal rows of length 1 in single precision they differ by less
NEARLY = 1e-3  # nats below a limit that is not reached


class Binned(NamedTuple):
    """Similarities, those that are nearly equal counted together.

    Attributes:
        values: the mean of each bin that is not empty, `(b,)` float64.
        shares: of all similarities, `(b,)`.
    """

    values: Tensor
    shares: Tensor

    def log_mean_exp(self, scale: float) -> float:
        """Return log E exp(scale · s)."""
        return float((scale * self.values + self.shares.log()).logsumexp(0))

    def tilted_mean(self, scale: float) -> float:
        """Return E s exp(scale · s) / E exp(scale · s)."""
        weights = (scale * self.values + self.shares.log()).softmax(0)
        return float((weights * self.values).sum())


def off_diagonal(matrix: Tensor) -> Tensor:
    """Return the entries of an n × n matrix that are off its diagonal, `(n (n − 1),)`."""
    n = len(matrix)
    return matrix.flatten()[1:].view(n - 1, n + 1)[:, :-1].flatten()


def binned(similarities: Tensor) -> Binned:
    """Count similarities in equal bins."""
    low, high = similarities.aminmax()
    width = ((high - low) / BINS).clamp_min(torch.finfo(similarities.dtype).tiny)
    places = ((similarities - low) / width).long().clamp_max_(BINS - 1)
    counts = torch.bincount(places, minlength=BINS)
    sums = torch.bincount(places, similarities - low, minlength=BINS)
    there = counts > 0
    counts = counts[there].double()
    return Binned(low + sums[there] / counts, counts / len(similarities))


def steepest_scale(positive: float, negative: Binned) -> float:
    """Return the b at which b · positive − log E exp(b s) is largest: 0 or infinity where it is at either end.

    It is 0 too where similarities are all alike. Where others are as similar as partners and none more so, as in
    classes, the difference rises to a limit, and b is the smallest that comes near it.

    Args:
        positive: the mean similarity of pairs.
        negative: the similarities s of other combinations of rows.
    """
    gaps = Binned(negative.values - positive, negative.shares)
    spread = math.sqrt(float((gaps.shares * gaps.values.square()).sum()))
    if spread <= ROUNDING * float(negative.values.abs().max()):
        return 0.0
    low, high = limits(spread)
    if gaps.tilted_mean(math.exp(low)) >= 0:
        return 0.0
    # What all rows share makes similarities large, and rounding no excuse for differences that can be told apart.
    nearest = min(TIED * float(negative.values.abs().max()), spread / BINS)
    tied = float(gaps.shares[gaps.values.abs() <= nearest].sum())
    is_limited = tied > 0 and float(gaps.values.max()) <= nearest
    if not is_limited and gaps.tilted_mean(math.exp(high)) <= 0:
        return math.inf
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        scale = math.exp(middle)
        rises = (
            gaps.log_mean_exp(scale) > math.log(tied) + NEARLY if is_limited else gaps.tilted_mean(scale) < 0
        )
        low, high = (middle, high) if rises else (low, middle)
    return math.exp((low + high) / 2)


def logistic_critic(positive: Binned, negative: Binned) -> tuple[float, float]:
    """Return b and c of T = b s + c where E_p softplus(−T) + E_q softplus(T) is least, by Newton's method.

    Pairs and other combinations weigh alike, so that T is a log density ratio.
    """
    middle = (negative.shares * negative.values).sum()
    spread = (negative.shares * (negative.values - middle).square()).sum().sqrt()
    spread = spread.clamp_min(torch.finfo(spread.dtype).tiny)
    sides = [Binned((side.values - middle) / spread, side.shares) for side in (positive, negative)]
    at = middle.new_zeros(2)
    least = _logistic_loss(sides, at)
    for _ in range(NEWTON_STEPS):
        step = _newton_step(sides, at)
        while _logistic_loss(sides, at + step) > least and float(step.norm()) > SMALL_STEP:
            step = step / 2
        at = at + step
        least = _logistic_loss(sides, at)
        if float(step.norm()) <= SMALL_STEP * (1 + float(at.norm())):
            break
    scale = at[0] / spread
    return float(scale), float(at[1] - scale * middle)


def _logistic_loss(sides: list[Binned], at: Tensor) -> float:
    return sum(
        float((side.shares * softplus(sign * (at[0] * side.values + at[1]))).sum())
        for side, sign in zip(sides, (-1, 1), strict=True)
    )


def _newton_step(sides: list[Binned], at: Tensor) -> Tensor:
    gradient, hessian = torch.zeros_like(at), 1e-12 * torch.eye(2, dtype=at.dtype, device=at.device)
    for (values, shares), label in zip(sides, (1.0, 0.0), strict=True):
        chance = torch.sigmoid(at[0] * values + at[1])
        slopes, curvatures = shares * (chance - label), shares * chance * (1 - chance)
        gradient += torch.stack([(slopes * values).sum(), slopes.sum()])
        moments = [(curvatures * values**power).sum() for power in (2, 1, 0)]
        hessian += torch.stack([torch.stack(moments[:2]), torch.stack(moments[1:])])
    return -torch.linalg.solve(hessian, gradient)
