"""Retrieval with the first coordinates alone, as of Matryoshka embeddings that are truncated."""

from collections.abc import Sequence

import torch
from torch import Tensor

from intrinsic_clip.metrics.alignment import directions
from intrinsic_clip.metrics.counterparts import counterparts_of
from intrinsic_clip.metrics.matching import Matching, partner_ranks, top_matching
from intrinsic_clip.metrics.reduction import RetrievalByDimension


@torch.no_grad()
def retrieval_by_prefix(
    x: Tensor,
    y: Tensor,
    dims: Sequence[int],
    ks: Sequence[int] = (1,),
    max_rows: int = 5000,
    seed: int = 0,
    things: tuple[Tensor, Tensor] | None = None,
) -> RetrievalByDimension:
    """Measure recall at k by cosine, in both directions, with only the first coordinates of each row kept.

    Nothing is fitted, so all rows are measured on.

    Args:
        x, y: representations of one replicate, `(n, d)`; row i of x and row i of y are a pair.
        dims: numbers of coordinates to keep, at most d.
        ks: values of k: a row counts if its partner is among the k best.
        max_rows: if there are more rows, this many are drawn; time grows with their square.
        seed: of the draw.
        things: numbers of the things that the rows of x and of y show, `(n,)` each; any row of a thing is then right.

    Raises:
        ValueError: shapes that do not fit, or dims or ks out of range.
    """
    if x.ndim != 2 or x.shape != y.shape or 0 in x.shape:
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"x and y must be (n, d), alike and not empty, got shapes {shapes}")
    width = x.shape[1]
    if not dims or min(dims) < 1 or max(dims) > width:
        raise ValueError(f"dims must lie between 1 and {width}, got {list(dims)}")
    chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:max_rows].sort().values
    both = None if things is None else counterparts_of(*(side[chosen] for side in things))
    x, y = x[chosen.to(x.device)], y[chosen.to(y.device)]
    queries = (len(x), len(x)) if both is None else (len(both.x), len(both.y))
    n = max(queries)
    if not ks or min(ks) < 1 or max(ks) > n:
        raise ValueError(f"ks must lie between 1 and the {n} rows, got {list(ks)}")
    curves = []
    for m in (*dims, width):
        ranks = partner_ranks(directions(x[:, :m]), directions(y[:, :m]), both)
        curves.append([torch.stack(tuple(top_matching(ranks, k))) for k in ks])
    recall = torch.stack([torch.stack(at_m, -1) for at_m in curves], 1).double()  # (2, D + 1, K)
    return RetrievalByDimension(
        dims=tuple(dims),
        ks=tuple(ks),
        recall=Matching(recall[0, :-1], recall[1, :-1]),
        standard_error=Matching(
            *((p * (1 - p) / m).sqrt() for p, m in zip(recall[:, :-1], queries, strict=True))
        ),
        full=Matching(recall[0, -1], recall[1, -1]),
        n=n,
        chance=1 / n if both is None else both.chance,
    )
