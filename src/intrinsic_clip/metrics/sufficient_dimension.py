"""The fewest dimensions that keep the recall of all."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.metrics.reduction import RetrievalByDimension


class SufficientDimension(NamedTuple):
    """The fewest dimensions that keep most of the recall, `(*R,)` each.

    Attributes:
        dims: their number, int64; −1 where none of those tried is enough.
        recall: recall with them, the mean of both directions; NaN where dims is −1.
        full: recall of the whole representations.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import retrieval_by_dimension, smallest_sufficient
        >>> _ = torch.manual_seed(0)
        >>> z = torch.nn.functional.pad(torch.randn(400, 4), (0, 12))  # 4 of 16 dimensions are shared
        >>> x, y = z + 0.05 * torch.randn(400, 16), z + 0.05 * torch.randn(400, 16)
        >>> enough = smallest_sufficient(retrieval_by_dimension(x, y, dims=(2, 4, 8)))
        >>> int(enough.dims), round(float(enough.full), 1)
        (4, 0.9)
    """

    dims: Tensor
    recall: Tensor
    full: Tensor


@torch.no_grad()
def smallest_sufficient(
    retrieval: RetrievalByDimension, share: float = 0.99, k: int | None = None
) -> SufficientDimension:
    """Find the fewest of the dims tried whose recall, mean of both directions, is at least a share of the full one.

    A full recall of 0 leaves nothing to keep: no number is enough. Recall has a standard error, so a dimension that
    barely misses the share may be enough too.

    Args:
        retrieval: recall for each of the dims.
        share: share of the full recall to keep; above 0.
        k: the k of the recall to compare; None: the first of `retrieval.ks`.

    Raises:
        ValueError: a share that is not positive, or a k that was not measured.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import retrieval_by_dimension, smallest_sufficient
        >>> _ = torch.manual_seed(0)
        >>> z = torch.nn.functional.pad(torch.randn(400, 4), (0, 12))  # 4 of 16 dimensions are shared
        >>> x, y = z + 0.05 * torch.randn(400, 16), z + 0.05 * torch.randn(400, 16)
        >>> retrieval = retrieval_by_dimension(x, y, dims=(2, 4, 8))
        >>> int(smallest_sufficient(retrieval).dims)
        4
    """
    if not share > 0:
        raise ValueError(f"share must be positive, got {share}")
    _, recall, full = _recalls(retrieval, k)
    whole = full[..., None]
    return _first_enough(retrieval.dims, (recall >= share * whole) & (whole > 0), recall, full)


def smallest_within_error(retrieval: RetrievalByDimension, k: int | None = None) -> SufficientDimension:
    """Find the fewest of the dims tried whose recall is within one standard error of the full one.

    The standard error is that of the paired difference: the one-standard-error rule of Breiman, Friedman, Olshen and
    Stone (*Classification and regression trees*, 1984), with the errors of the same held-out rows on both sides.

    Args:
        retrieval: recall for each of the dims, with its differences from the full one.
        k: the k of the recall to compare; None: the first of `retrieval.ks`.

    Raises:
        ValueError: a k that was not measured, or differences that were not.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import retrieval_by_dimension
        >>> from intrinsic_clip.metrics.sufficient_dimension import smallest_within_error
        >>> _ = torch.manual_seed(0)
        >>> z = torch.nn.functional.pad(torch.randn(400, 4), (0, 12))  # 4 of 16 dimensions are shared
        >>> x, y = z + 0.05 * torch.randn(400, 16), z + 0.05 * torch.randn(400, 16)
        >>> int(smallest_within_error(retrieval_by_dimension(x, y, dims=(2, 4, 8))).dims)
        4
    """
    if retrieval.difference is None or retrieval.difference_error is None:
        raise ValueError("differences from the full recall were not measured")
    place, recall, full = _recalls(retrieval, k)
    enough = retrieval.difference[..., place] >= -retrieval.difference_error[..., place]
    return _first_enough(retrieval.dims, enough, recall, full)


def _recalls(retrieval: RetrievalByDimension, k: int | None) -> tuple[int, Tensor, Tensor]:
    """Return the place of k among those measured, and its recall with each of the dims and with all, over both ways."""
    if k is not None and k not in retrieval.ks:
        raise ValueError(f"recall was measured for k in {list(retrieval.ks)}, not for {k}")
    place = 0 if k is None else retrieval.ks.index(k)
    recall, full = (
        torch.stack(tuple(each)).mean(0)[..., place] for each in (retrieval.recall, retrieval.full)
    )
    return place, recall, full


def _first_enough(dims: Sequence[int], enough: Tensor, recall: Tensor, full: Tensor) -> SufficientDimension:
    """Return the smallest of the dims that is enough, with its recall; −1 where there is none."""
    values = torch.tensor(dims, device=recall.device)
    order = values.argsort()
    recall, values, enough = recall[..., order], values[order], enough[..., order]
    first = enough.int().argmax(-1)
    exists = enough.any(-1)
    at_first = recall.gather(-1, first[..., None]).squeeze(-1)
    return SufficientDimension(values[first].where(exists, -1), at_first.where(exists, math.nan), full)
