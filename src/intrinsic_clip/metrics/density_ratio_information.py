"""Estimates of mutual information from similarities as log density ratios: NWJ and SMILE, not limited by log n."""

import math

import torch

from intrinsic_clip.dimension.arrays import Rows
from intrinsic_clip.metrics.alignment import as_pairs
from intrinsic_clip.metrics.information_estimate import (
    MARGIN,
    InformationEstimate,
    Pairs,
    Part,
    cross_fitted,
)
from intrinsic_clip.metrics.log_density_ratio import binned, logistic_critic, off_diagonal, steepest_scale
from intrinsic_clip.metrics.optimal_temperature import MOST_ROWS

FEWEST_EFFECTIVE = 30.0  # rows that carry the partition function


def nwj_bound(x: Rows, y: Rows, seed: int = 0) -> InformationEstimate:
    """Return the lower bound E_p[T] + 1 − E_q[exp T] with T = s / τ + c; τ and c are fitted on the other half.

    p are the pairs, q all other combinations of rows, s inner products. The bound is E_p[T'] − E_q[exp(T' − 1)] of
    Nguyen, Wainwright, Jordan, *Estimating divergence functionals and the likelihood ratio by convex risk
    minimization*, IEEE Transactions on Information Theory 56, 2010, with T' = T + 1. It is concave in 1 / τ and c, and
    they are fitted where it is largest: c = −log E_q[exp(s / τ)].

    It is not limited by log n, but its variance grows as exp(I): E_q[exp T] then rests on few rows. Where they number
    fewer than 30 (effectively, (Σ w)² / Σ w² of the rows' weights), the value is NaN and `saturated`. Of half the pairs
    at most 4,096 are used.

    Args:
        x, y: normalised as for the loss, `(*R, n, d)`; row i of x and row i of y are a pair. Held-out rows.
        seed: of the deal into halves.

    Raises:
        ValueError: x and y differ in shape, or there are fewer than 16 pairs.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import nwj_bound
        >>> noise = torch.Generator().manual_seed(0)
        >>> x = torch.randn(512, 16, generator=noise)
        >>> y = x + 1.5 * torch.randn(512, 16, generator=noise)
        >>> x, y = (torch.nn.functional.normalize(side, dim=-1) for side in (x, y))
        >>> 1 < float(nwj_bound(x, y).value) < 4  # the vectors' own: 16 / 2 · log(1 + 1 / 1.5²) = 2.9
        True
    """
    return cross_fitted(*as_pairs(x, y), _nwj, seed, MOST_ROWS)


def smile_estimate(x: Rows, y: Rows, clip: float = 5.0, seed: int = 0) -> InformationEstimate:
    """Return E_p[T] − log E_q[clip(exp T, e^−clip, e^clip)] with T = b s + c; b and c are fitted on the other half.

    Song, Ermon, *Understanding the limitations of variational mutual information estimators*, ICLR 2020. As there, T is
    fitted by telling pairs from other combinations of rows, which is here a logistic regression on the similarity s.
    Clipping makes the variance small and the estimate biased, mostly upwards where I is large: it is no bound.

    A value within 1 nat of log(n (n − 1)), n being half the pairs, claims density ratios that no combination of rows
    has shown; it is NaN and `saturated`. Of half the pairs at most 4,096 are used.

    Args:
        x, y: normalised as for the loss, `(*R, n, d)`; row i of x and row i of y are a pair. Held-out rows.
        clip: largest log density ratio in the partition function; infinity gives the bound of Donsker and Varadhan.
        seed: of the deal into halves.

    Raises:
        ValueError: x and y differ in shape, there are fewer than 16 pairs, or clip is not positive.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import smile_estimate
        >>> noise = torch.Generator().manual_seed(0)
        >>> x = torch.randn(512, 16, generator=noise)
        >>> y = x + 1.5 * torch.randn(512, 16, generator=noise)
        >>> x, y = (torch.nn.functional.normalize(side, dim=-1) for side in (x, y))
        >>> 1 < float(smile_estimate(x, y).value) < 4
        True
    """
    if not clip > 0:
        raise ValueError(f"clip must be positive, got {clip}")

    def smile(fit: Pairs, held_out: Pairs) -> Part:
        return _smile(fit, held_out, clip)

    return cross_fitted(*as_pairs(x, y), smile, seed, MOST_ROWS)


def _nwj(fit: Pairs, held_out: Pairs) -> Part:
    matrix = fit[0] @ fit[1].T
    negative = binned(off_diagonal(matrix))
    scale = steepest_scale(float(matrix.diagonal().mean()), negative)
    if scale == 0:
        return Part(0.0)  # partners are no more similar than others
    if math.isinf(scale):
        reason = "pairs are more similar than all other rows: the bound grows without limit as τ goes to 0"
        return Part(math.nan, True, reason)
    constant = -negative.log_mean_exp(scale)
    logits = scale * (held_out[0] @ held_out[1].T) + constant
    n = len(logits)
    positive = float(logits.diagonal().mean())
    ratios = logits.fill_diagonal_(-math.inf).exp_()
    weights = torch.stack([ratios.sum(0), ratios.sum(1)])
    effective = float((weights.sum(1).square() / weights.square().sum(1)).amin())
    if not effective >= FEWEST_EFFECTIVE:
        reason = (
            f"the bound's variance explodes: its partition function rests on {effective:.0f} of {n:,} held-out rows, "
            f"fewer than {FEWEST_EFFECTIVE:g}"
        )
        return Part(math.nan, True, reason)
    return Part(positive + 1 - float(weights[0].sum()) / (n * (n - 1)))


def _smile(fit: Pairs, held_out: Pairs, clip: float) -> Part:
    matrix = fit[0] @ fit[1].T
    positive, negative = matrix.diagonal(), off_diagonal(matrix)
    if float(positive.min()) > float(negative.max()):
        reason = "every pair is more similar than all other rows: no density ratio can be fitted"
        return Part(math.nan, True, reason)
    scale, constant = logistic_critic(binned(positive), binned(negative))
    logits = scale * (held_out[0] @ held_out[1].T) + constant
    n = len(logits)
    ceiling = math.log(n * (n - 1))
    partition = float(off_diagonal(logits).clamp(-clip, clip).logsumexp(0)) - ceiling
    value = float(logits.diagonal().mean()) - partition
    if value > ceiling - MARGIN:
        reason = (
            f"{value:.1f} nats are within {MARGIN:g} nat of log({n:,} · {n - 1:,}): no combination of held-out rows "
            "shows such a density ratio"
        )
        return Part(math.nan, True, reason)
    return Part(value)
