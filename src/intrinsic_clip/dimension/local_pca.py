"""Local principal component analysis: of neighbourhoods, or of all points at once."""

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from intrinsic_clip.dimension import criteria
from intrinsic_clip.dimension.arrays import Rows, whole_number
from intrinsic_clip.dimension.estimate import DimensionEstimate, conclude
from intrinsic_clip.dimension.neighbourhoods import distinct_points, neighbourhoods
from intrinsic_clip.dimension.neighbours import Neighbours, as_neighbours
from intrinsic_clip.dimension.pointwise import combined
from intrinsic_clip.dimension.queries import Queries
from intrinsic_clip.dimension.registry import estimator
from intrinsic_clip.dimension.row_workers import pytorch_threads
from intrinsic_clip.dimension.scaling import exponent_of

Criterion = Literal["FO", "Fan", "maxgap", "ratio", "participation_ratio", "Kaiser", "broken_stick"]

EMPTY = 1e-12  # share of the largest eigenvalue: what float32 leaves of a direction without variance
COUNT_COLUMNS = (
    "Fan",
    "maxgap",
    "Kaiser",
    "broken_stick",
)  # compare with directions that hold no variance too
NO_COMPONENTS = "the eigenvalues are not finite"  # never so for finite points


@estimator(neighbours="wide")
def local_pca(
    points: Rows | Neighbours,
    k: int | None = 100,
    criterion: Criterion = "FO",
    *,
    alpha: float = 0.05,
    gap: float = 10.0,
    share: float = 0.8,
    signal: float = 0.95,
    block_bytes: int = 2**26,
    queries: Queries = None,
    seed: int = 0,
) -> DimensionEstimate:
    """Estimate the dimension as the number of principal components that count among k nearest neighbours.

    The eigenvalues are those of the covariance of the neighbours' positions, the point itself not among them
    (Fukunaga, Olsen, *An algorithm for finding intrinsic dimensionality of data*, IEEE Transactions on
    Computers C-20, 1971), and there are min(k, varying columns) of them. `criteria.py` defines how each
    criterion counts. The estimate is the mean over the points. Values are those of
    `skdim.id.lPCA(ver=criterion).fit_pw(points, n_neighbors=k)`, and for k = None, where all points are one
    neighbourhood, of `skdim.id.lPCA(ver=criterion).fit(points)`, with these exceptions: columns that do not
    vary do not count, so that points in one varying column have dimension 1; duplicates count once;
    eigenvalues that are 0 but for rounding are 0, and the one that is 0 because k points span k − 1
    dimensions is no gap; and "Fan" as described in `criteria.fan`.

    The standard error is sd / √n of the estimates at the points; it ignores that neighbourhoods overlap, so
    that the estimates at near points are alike (for k = 20 the actual spread of the participation ratio was
    1.7 to 2.3 times as large; of counts that are nearly everywhere the same it was much larger at times), and
    all bias: curvature and noise add components. For k = None it is NaN.

    Args:
        points: `(*R, n, d)`, or their neighbours, of which the first k are used.
        k: neighbours per point, at least 2; None for all points at once, however many.
        criterion: which eigenvalues count: "FO", those above alpha times the largest; "ratio", as many as hold
            the share alpha of the variance, for which alpha = 0.05 is scikit-dimension's default and 0.95 is
            the usual choice; "Fan", by gap, share and signal; "maxgap", all before the largest ratio of two
            consecutive ones; "participation_ratio"; "Kaiser", those above their mean; "broken_stick".
        alpha: of "FO" and "ratio".
        gap, share, signal: of "Fan" (alphaFan, betaFan and PFan in scikit-dimension).
        block_bytes: about the most memory for the neighbourhoods worked on at a time.
        queries, seed: as for `nearest_neighbours`: ask only some of the points, drawn at random, for their neighbours
            among all; the estimate then says in `query_error` what that costs. Not for k = None.

    Returns:
        Value and standard error `(*R,)` and, unless k is None, pointwise `(*R, n)`; NaN with a reason where no
        estimate exists.

    Raises:
        ValueError: k too small, an unknown criterion, alpha, share or signal outside (0, 1), gap below 1, or
            fewer than k neighbours given.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import local_pca
        >>> _ = torch.manual_seed(0)
        >>> points = torch.rand(1000, 2) @ torch.rand(2, 10)  # a plane in 10 columns
        >>> round(float(local_pca(points, k=20).value), 1)
        2.0
    """
    if k is not None:
        k = whole_number("k", k, 2)
    if not (0 < alpha < 1 and 0 < share < 1 and 0 < signal < 1):
        raise ValueError(f"alpha, share and signal must lie between 0 and 1, got {alpha}, {share}, {signal}")
    if not gap >= 1:
        raise ValueError(f"gap must be at least 1, got {gap}")
    count: dict[str, Callable[[Tensor], Tensor]] = {
        "FO": partial(criteria.fukunaga_olsen, alpha=alpha),
        "Fan": partial(criteria.fan, gap=gap, share=share, signal=signal),
        "ratio": partial(criteria.variance_ratio, alpha=alpha),
        "maxgap": criteria.largest_gap,
        "participation_ratio": criteria.participation_ratio,
        "Kaiser": criteria.kaiser,
        "broken_stick": criteria.broken_stick,
    }
    if criterion not in count:
        raise ValueError(f"criterion must be one of {', '.join(count)}, got {criterion!r}")

    def dimension(rows: Tensor) -> Tensor:
        products = _products(rows)
        if criterion == "participation_ratio":  # Σ λ and Σ λ² are the trace and the squared norm
            trace = products.diagonal(dim1=-2, dim2=-1).sum(-1)
            return 1 / (products / trace[..., None, None]).square().sum((-2, -1))
        eigenvalues = _eigenvalues(products, max(rows.shape[-2:]))
        if criterion == "maxgap":  # the last of k eigenvalues of k points is 0 for any points
            eigenvalues = eigenvalues[..., : rows.shape[-2] - 1]
        return count[criterion](eigenvalues)

    neighbours = as_neighbours(points, 1 if k is None else k, queries, seed)
    if criterion in COUNT_COLUMNS:
        _warn_of_empty_directions(neighbours, criterion)
    if k is None:
        value = torch.full_like(neighbours.dims, math.nan, dtype=torch.float64)
        for distinct in distinct_points(neighbours):
            value[distinct.replicate] = dimension(distinct.points)
        return conclude(
            neighbours, None, value, torch.full_like(value, math.nan), None, NO_COMPONENTS, "local_pca"
        )

    pointwise = torch.full_like(neighbours.distances[..., 0], math.nan)
    columns = neighbours.points.shape[-1]
    for block in neighbourhoods(neighbours, k, k * columns + 2 * min(k, columns) ** 2, block_bytes):
        pointwise[block.where] = dimension(block.offsets)
    value, standard_error = combined(pointwise, "mean")
    return conclude(
        neighbours, k, value, standard_error, pointwise, NO_COMPONENTS, "local_pca", standard_error
    )


def _products(rows: Tensor) -> Tensor:
    """Return a matrix, min(k, d) wide, with the eigenvalues of the covariance of rows `(..., k, d)` up to a factor."""
    k, d = rows.shape[-2:]
    centred = rows - rows.mean(-2, keepdim=True)
    return centred @ centred.mT if k < d else centred.mT @ centred


def _eigenvalues(products: Tensor, terms: int) -> Tensor:
    """Return descending eigenvalues of `(..., m, m)` matrices of sums of `terms` terms; 0 where rounding decides."""
    # A series of small matrices gains nothing from threads, which wait for each other.
    with pytorch_threads(1 if products.ndim > 2 else None):
        eigenvalues = torch.linalg.eigvalsh(products).flip(-1)
    rounding = 8 * math.sqrt(terms) * torch.finfo(torch.float64).eps * eigenvalues[..., :1]
    return eigenvalues.where(eigenvalues > rounding, 0.0)


def _warn_of_empty_directions(neighbours: Neighbours, criterion: str) -> None:
    """Warn where a rotation would change the count: empty columns do not count, empty directions between them do."""
    if not bool((neighbours.valid.any(-1) & (neighbours.dims > 1)).any()):
        return
    columns = neighbours.points.shape[-1]
    first = _first_points(neighbours)
    rank = int(torch.linalg.matrix_rank(_products(first), hermitian=True, rtol=EMPTY))
    if rank < min(columns, len(first) - 1):
        warnings.warn(
            f"the points lie in {rank} of {columns} dimensions, and criterion={criterion!r} counts by how many columns "
            "there are beside these, so that a rotation changes it; FO, ratio and participation_ratio depend on none",
            stacklevel=3,
        )


def _first_points(neighbours: Neighbours) -> Tensor:
    """Return the points of the first replicate that has any; of one that was asked in part, those asked and near."""
    if neighbours.queries is None:
        return next(distinct_points(neighbours)).points
    replicate = tuple((neighbours.valid.any(-1) & (neighbours.dims > 1)).nonzero()[0].tolist())
    valid = neighbours.valid[replicate]
    asked, near = neighbours.queries[replicate][valid], neighbours.indices[replicate][valid]
    points = neighbours.points.detach()[replicate][torch.cat([asked, near.flatten()]).unique()].double()
    return points * 2.0 ** -exponent_of(points)
