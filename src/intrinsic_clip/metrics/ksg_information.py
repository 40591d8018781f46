"""Mutual information from nearest neighbours along the leading shared directions: the estimator of Kraskov et al."""

import math

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows, whole_number
from intrinsic_clip.metrics.alignment import as_same_rows
from intrinsic_clip.metrics.held_out_directions import check_directions, project_held_out
from intrinsic_clip.metrics.information_estimate import (
    MARGIN,
    InformationEstimate,
    Pairs,
    Part,
    cross_fitted,
)
from intrinsic_clip.metrics.row_blocks import row_blocks

NEIGHBOURS = 3


def ksg_information(
    x: Rows, y: Rows, k: int = NEIGHBOURS, directions: int | None = None, seed: int = 0
) -> InformationEstimate:
    """Return ψ(k) + ψ(n) − E[ψ(n_x + 1) + ψ(n_y + 1)] of held-out rows on the directions that lead in other pairs.

    Kraskov, Stögbauer, Grassberger, *Estimating mutual information*, Physical Review E 69, 2004, estimator 1: n_x and
    n_y are the rows whose x, or y, is nearer than the k-th neighbour is in both, all by the maximum norm. Half of the
    pairs say which m canonical directions lead, the other half is projected on them; the mean is taken of both ways.

    It assumes no distribution, and is too small where I is large, all the more the more directions there are. It is at
    most ψ(n) − ψ(k), n being half the pairs; a value within 1 nat of that is NaN and `saturated`.
    On the limit: Gao, Ver Steeg, Galstyan, *Efficient estimation of mutual information for strongly dependent
    variables*, AISTATS 2015.

    Args:
        x, y: `(*R, n, p_x)` and `(*R, n, p_y)`; row i of x and row i of y are a pair. Held-out rows.
        k: neighbours; fewer give less bias and more spread.
        directions: m; None: as many as `canonical_rank` finds in the half that they are fitted on, but no more than its
            intrinsic dimension, since the others of a curved surface are functions of these.
        seed: of the deal into halves.

    Raises:
        ValueError: x and y differ in replicates or rows, there are fewer than 16 pairs, or k or directions below 1.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import ksg_information
        >>> _ = torch.manual_seed(0)
        >>> z = torch.randn(2000, 2)  # shared
        >>> x, y = (torch.cat([z + torch.randn(2000, 2), torch.randn(2000, 3)], 1) for _ in range(2))
        >>> round(float(ksg_information(x, y).value), 1)  # a little below − log(1 − ¼) = 0.29
        0.2
    """
    check_directions(directions)
    k = whole_number("k", k, 1)

    def estimate(fit: Pairs, held_out: Pairs) -> Part:
        rows_x, rows_y, reason = project_held_out(fit, held_out, directions)
        if reason is not None:
            return Part(math.nan, False, reason)
        return kraskov(rows_x, rows_y, k) if rows_x.shape[1] else Part(0.0)

    return cross_fitted(*as_same_rows(x, y), estimate, seed)


def kraskov(x: Tensor, y: Tensor, k: int) -> Part:
    """Return estimator 1 of Kraskov et al. of rows `(n, p_x)` and `(n, p_y)`."""
    n = len(x)
    if n <= k:
        return Part(math.nan, False, f"{n:,} held-out pairs are too few for {k} neighbours")
    total = 0.0
    for block in row_blocks(n, n, x.device):
        in_x, in_y = (torch.cdist(rows[block], rows, p=math.inf) for rows in (x, y))
        joint = in_x.maximum(in_y)
        reach = joint.kthvalue(k + 1, dim=1, keepdim=True).values  # a row is its own first neighbour
        if bool((reach == 0).any()):
            return Part(
                math.nan, False, f"rows repeat more than {k} times: their neighbours are at distance 0"
            )
        for distances in (in_x, in_y):
            nearer = (distances < reach).sum(1)  # with the row itself: n_x + 1
            total += float(torch.special.digamma(nearer.double()).sum())
    of_k, of_n = torch.special.digamma(torch.tensor([k, n], dtype=torch.float64)).tolist()
    value = of_k + of_n - total / n
    if value > of_n - of_k - MARGIN:
        reason = (
            f"{value:.1f} nats are within {MARGIN:g} nat of ψ({n:,}) − ψ({k}), the most that so many held-out pairs "
            "can show"
        )
        return Part(math.nan, True, reason)
    return Part(value)
