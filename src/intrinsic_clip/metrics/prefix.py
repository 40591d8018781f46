"""Retrieval with the first coordinates alone, as of Matryoshka embeddings that are truncated."""

from collections.abc import Sequence

import torch
from torch import Tensor

from intrinsic_clip.metrics.counterparts import counterparts_of
from intrinsic_clip.metrics.paired_error import clusters
from intrinsic_clip.metrics.reduction import (
    RetrievalByDimension,
    partners_found,
    recall_numbers,
    retrieval_of,
)
from intrinsic_clip.seeding import seeded


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
    chosen = torch.randperm(len(x), generator=seeded(seed))[:max_rows].sort().values
    both = None if things is None else counterparts_of(*(side[chosen] for side in things))
    x, y = x[chosen.to(x.device)], y[chosen.to(y.device)]
    n = len(x) if both is None else max(len(both.x), len(both.y))
    if not ks or min(ks) < 1 or max(ks) > n:
        raise ValueError(f"ks must lie between 1 and the {n} rows, got {list(ks)}")
    together = clusters(n, both)
    found = [partners_found(x[:, :m], y[:, :m], ks, both) for m in (*dims, width)]
    numbers = torch.stack([recall_numbers(each, found[-1], together) for each in found], 1)
    return retrieval_of(numbers, dims, ks, n, both, together)
