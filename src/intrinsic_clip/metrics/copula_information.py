"""The mutual information of a Gaussian copula along the leading shared directions."""

import math

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows
from intrinsic_clip.metrics.alignment import as_same_rows
from intrinsic_clip.metrics.held_out_directions import check_directions, project_held_out
from intrinsic_clip.metrics.information_estimate import InformationEstimate, Pairs, Part, cross_fitted

PERFECT = 1e-12  # 1 − ρ² this small is rounding
MOST_CLUSTERS = 32  # along a direction
APART = 0.25  # variance within clusters, relative to that of equal parts of an even spread
COPIES = 10  # of each row, on average, that make a side one of codes; an image has five captions


def copula_information(x: Rows, y: Rows, directions: int | None = None, seed: int = 0) -> InformationEstimate:
    """Return −½ Σ log(1 − ρ²) over the canonical correlations ρ of held-out rows with Gaussian marginals.

    Half of the pairs say which m canonical directions lead. Along them the other half is made Gaussian by ranks, column
    by column, and the information is that of Gaussian vectors with their correlations, less its known bias
    ½ (2 Σ_{i≤m} ψ((n − i) / 2) − Σ_{i≤2m} ψ((n − i) / 2)). The mean is taken of both ways.

    Ince, Giordano, Kayser, Rousselet, Gross, Schyns, *A statistical framework for neuroimaging data analysis based on
    mutual information estimated via a Gaussian copula*, Human Brain Mapping 38, 2017. Exact for jointly Gaussian
    directions, even where I is large. It is no bound: what correlations of ranks do not show is missed, and what
    directions that are functions of each other share, as on a sphere, is counted twice. Codes and classes have too few
    values for ranks to be made Gaussian, and those that are jittered are not Gaussian together: of five classes, which
    share log 5 = 1.6 nats, ranks show 3.1. Pairs that do not belong together cost much: with a tenth of them wrong, of
    four directions that share 5.2 nats in the others 2.7 are found.

    Args:
        x, y: `(*R, n, p_x)` and `(*R, n, p_y)`; row i of x and row i of y are a pair. Held-out rows.
        directions: m; None: as many as `canonical_rank` finds in the half that they are fitted on, but no more than its
            intrinsic dimension, since the others of a curved surface are functions of these.
        seed: of the deal into halves.

    Returns:
        The estimate; NaN and `saturated` where a correlation is 1, so that the information is infinite; NaN where the
        rows of a side are codes or classes, ten copies of each on average, of which the information is finite, and
        where they are such with noise: up to 32 clusters along a direction, with wide gaps between.

    Raises:
        ValueError: x and y differ in replicates or rows, or there are fewer than 16 pairs; directions below 1.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import copula_information
        >>> _ = torch.manual_seed(0)
        >>> z = torch.randn(2000, 2)  # shared
        >>> x, y = (torch.cat([z + torch.randn(2000, 2), torch.randn(2000, 3)], 1) for _ in range(2))
        >>> round(float(copula_information(x, y).value), 1)  # − log(1 − ¼) = 0.29
        0.3
    """
    check_directions(directions)

    def estimate(fit: Pairs, held_out: Pairs) -> Part:
        rows_x, rows_y, reason = project_held_out(fit, held_out, directions)
        if reason is not None:
            return Part(math.nan, False, reason)
        codes = (_codes(held_out) or _clustered((rows_x, rows_y))) if rows_x.shape[1] else None
        if codes is not None:
            return Part(math.nan, False, codes)
        return _gaussian(normal_scores(rows_x), normal_scores(rows_y))

    return cross_fitted(*as_same_rows(x, y), estimate, seed)


def normal_scores(rows: Tensor) -> Tensor:
    """Replace each value by Φ⁻¹(rank / (n + 1)), rank among its column `(n, m)`; equal values share a mean rank."""
    columns = rows.T.contiguous()
    ordered = columns.sort(-1).values
    below, upto = (torch.searchsorted(ordered, columns, right=right) for right in (False, True))
    ranks = (below + upto + 1).double() / 2
    return torch.special.ndtri(ranks / (len(rows) + 1)).T


def _codes(held_out: Pairs) -> str | None:
    """Return why ranks of the pairs cannot be made Gaussian: a side has few different rows; else None."""
    for side, rows in zip("xy", held_out, strict=True):
        distinct = len(rows.unique(dim=0))
        if COPIES * distinct <= len(rows):
            return (
                f"the {len(rows):,} held-out rows of {side} are {distinct:,} different ones, as codes and classes are: "
                "their ranks cannot be made Gaussian"
            )
    return None


def _clustered(projected: Pairs) -> str | None:
    """Return why ranks of projected rows are not Gaussian together: a direction has clusters far apart; else None."""
    for side, rows in zip("xy", projected, strict=True):
        for column in rows.T:
            clusters = _clusters(column.sort().values)
            if clusters:
                return (
                    f"the held-out rows of {side} lie in {clusters} clusters along a direction, as codes and classes "
                    "with noise do: their ranks are not Gaussian together"
                )
    return None


def _clusters(ordered: Tensor) -> int:
    """Return the number of clusters of ascending values, which the widest gaps part; 0 where there are none.

    Each must hold a quarter of its even share of the values, since the widest gaps of any tail part single ones.
    """
    n, gaps = len(ordered), ordered.diff()
    total = float(ordered.var(correction=0))
    for count in range(2, min(MOST_CLUSTERS, n // COPIES) + 1):
        parts = ordered.tensor_split((gaps.topk(count - 1).indices.sort().values + 1).tolist())
        if min(len(part) for part in parts) < n / (4 * count):
            continue
        within = sum(float(part.var(correction=0)) * len(part) for part in parts) / n
        if within * count**2 < APART * total:
            return count
    return 0


def _gaussian(x: Tensor, y: Tensor) -> Part:
    """Return the information of Gaussian rows `(n, m)` each."""
    n, m = x.shape
    if m == 0:
        return Part(0.0)
    if 2 * m >= n - 1:
        return Part(math.nan, False, f"{n:,} held-out pairs are too few for {m} directions of each side")
    bases = (torch.linalg.qr(rows - rows.mean(0)).Q for rows in (x, y))
    left, right = bases
    correlations = torch.linalg.svdvals(left.T @ right).clamp(max=1)
    if float(correlations.max()) ** 2 > 1 - PERFECT:
        return Part(
            math.nan, True, "a canonical correlation of the held-out pairs is 1: the information is infinite"
        )
    values = torch.log1p(-correlations.square()).sum() / -2
    digammas = torch.special.digamma((n - torch.arange(1, 2 * m + 1, dtype=torch.float64)) / 2)
    return Part(float(values) - float(2 * digammas[:m].sum() - digammas.sum()) / 2)
