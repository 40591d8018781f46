"""Neighbours of rows that are searched whole, as many as duplicates leave."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from intrinsic_clip.dimension import Neighbours, nearest_neighbours


def as_many_neighbours(
    rows: Tensor, k: int, report: Callable[[int, int], object] | None = None
) -> Neighbours:
    """Search the k nearest neighbours, or as many as there are where duplicates leave fewer.

    Args:
        rows: `(n, d)`.
        k: neighbours of each.
        report: as for `nearest_neighbours`.

    Example:
        >>> import warnings
        >>> import torch
        >>> from intrinsic_clip.measurement.sample_neighbours import as_many_neighbours
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")  # of the duplicates
        ...     as_many_neighbours(torch.arange(20).remainder(7).float()[:, None] ** torch.arange(1, 3), 100).k
        6
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        neighbours = nearest_neighbours(rows, min(k, len(rows) - 1), report=report)
    if neighbours.reason is not None:
        distinct = len(torch.unique(rows, dim=0))
        return nearest_neighbours(rows, max(2, min(k, distinct - 1)))  # warns of the duplicates too
    for warning in caught:
        warnings.warn(warning.message, stacklevel=2)
    return neighbours
