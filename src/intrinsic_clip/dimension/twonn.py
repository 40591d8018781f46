"""The TwoNN estimator of Facco and others."""

import math

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows
from intrinsic_clip.dimension.estimate import DimensionEstimate, conclude
from intrinsic_clip.dimension.neighbours import Neighbours, as_neighbours
from intrinsic_clip.dimension.queries import Queries
from intrinsic_clip.dimension.registry import estimator

GROUPS = 20
NO_SLOPE = "fewer than 2 ratios of neighbour distances are left, or all are 1, so no line can be fitted"


@estimator(neighbours=2, on_all_rows=True)
def twonn(
    points: Rows | Neighbours,
    discard_fraction: float = 0.1,
    *,
    queries: Queries = None,
    seed: int = 0,
) -> DimensionEstimate:
    """Estimate the dimension from the ratio μ = R_2 / R_1 of the two nearest neighbours' distances.

    log μ is exponential with the dimension as its rate, so −log(1 − F(μ)) is a line through the origin in log
    μ whose slope is the dimension. It is fitted by least squares to the ordered ratios, F(μ_(i)) = i / N,
    without the largest ones (Facco, d'Errico, Rodriguez, Laio, *Estimating the intrinsic dimension of
    datasets by a minimal neighborhood information*, Scientific Reports 7, 2017). int(N (1 −
    discard_fraction)) ratios are kept, as in `skdim.id.TwoNN()`, whose values these are, with two exceptions:
    points in one varying column have dimension 1 by definition, and duplicates count once where
    scikit-dimension drops every point that has one.

    The standard error is that of this fit to N independent exponential variables, to first order, for which
    Rényi's representation of their order statistics gives

        value · √(Σ_j (Σ_{i≥j} y_i / (N − j + 1))²) / Σ_i y_i²,   y_i = −log(1 − i / N).

    It ignores that ratios of neighbouring points depend on each other (on uniform samples of 2 and 5
    dimensions the actual spread was 1.2 to 1.4 times as large), and all bias: noise, boundaries, uneven
    density.

    Args:
        points: `(*R, n, d)`, or their neighbours, of which the first two are used.
        discard_fraction: share of the largest ratios left out of the fit, between 0 and 1, both excluded.
        queries, seed: as for `nearest_neighbours`: ask only some of the points, drawn at random, for their neighbours
            among all; the estimate then says in `query_error` what that costs.

    Returns:
        Value and standard error `(*R,)`; NaN with a reason where no estimate exists. There is no pointwise
        estimate.

    Raises:
        ValueError: discard_fraction outside (0, 1), or only one neighbour given.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import twonn
        >>> _ = torch.manual_seed(0)
        >>> points = torch.rand(1000, 2) @ torch.rand(2, 10)  # a plane in 10 columns
        >>> round(float(twonn(points).value), 1)
        2.1
    """
    if not 0 < discard_fraction < 1:
        raise ValueError(f"discard_fraction must lie between 0 and 1, got {discard_fraction}")
    neighbours = as_neighbours(points, 2, queries, seed)
    r1, r2 = neighbours.distances[..., 0], neighbours.distances[..., 1]
    log_ratios = (r2.log() - r1.log()).masked_fill(~neighbours.valid, math.inf)
    value, standard_error = _fit(log_ratios, neighbours.valid, discard_fraction)
    spread = (
        None if neighbours.queries is None else _jackknife(log_ratios, neighbours.valid, discard_fraction)
    )
    return conclude(neighbours, 2, value, standard_error, None, NO_SLOPE, "twonn", spread)


def _fit(log_ratios: Tensor, valid: Tensor, discard_fraction: float) -> tuple[Tensor, Tensor]:
    """Return the slope and its standard error, `(*R,)`; ratios that are not valid are infinite."""
    log_ratios = log_ratios.sort(-1).values
    total = valid.sum(-1, keepdim=True).double()
    kept = (total * (1 - discard_fraction)).floor()
    rank = torch.arange(1, log_ratios.shape[-1] + 1, dtype=torch.float64, device=log_ratios.device)
    in_fit = rank <= kept
    x = log_ratios.where(in_fit, 0.0)
    y = -torch.log1p(-rank / total).where(in_fit, 0.0)

    value = ((x * y).sum(-1) / x.square().sum(-1)).where(kept.squeeze(-1) >= 2, math.nan)
    later = y.flip(-1).cumsum(-1).flip(-1)
    influence = (later / (total - rank + 1)).where(in_fit, 0.0)
    return value, value * torch.linalg.vector_norm(influence, dim=-1) / y.square().sum(-1)


def _jackknife(log_ratios: Tensor, valid: Tensor, discard_fraction: float) -> Tensor:
    """Return the standard error of the slope by leaving out one of several random groups of points at a time."""
    group = torch.arange(log_ratios.shape[-1], device=valid.device) % GROUPS
    slopes = []
    for left_out in range(GROUPS):
        kept = valid & (group != left_out)
        slopes.append(_fit(log_ratios.masked_fill(~kept, math.inf), kept, discard_fraction)[0])
    values = torch.stack(slopes)
    return ((values - values.mean(0)).square().sum(0) * (GROUPS - 1) / GROUPS).sqrt()
