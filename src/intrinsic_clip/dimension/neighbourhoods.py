"""Positions of each point's neighbours, for the estimators that use more than distances."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_clip.dimension.neighbours import Neighbours
from intrinsic_clip.dimension.scaling import exponent_of

BLOCK = 4096  # rows


@dataclass(frozen=True)
class Distinct:
    """The distinct finite points of one replicate.

    Attributes:
        replicate: its index along the leading axes of the points.
        rows: their row numbers, ascending, `(m,)`.
        points: float64, `(m, d')`: only the d' columns that vary, in units of 2**exponent, so that their
            squares neither overflow nor vanish.
        exponent: exponent of that unit.
    """

    replicate: tuple[int, ...]
    rows: Tensor
    points: Tensor
    exponent: int


def distinct_points(neighbours: Neighbours) -> Iterator[Distinct]:
    """Yield the valid points of every replicate that has any in two or more varying columns.

    Raises:
        ValueError: only some of the points were asked for their neighbours, and the caller needs all.
    """
    if neighbours.queries is not None:
        raise ValueError(
            f"needs the neighbours of every point, and only {neighbours.asked:,} of {neighbours.n:,} were asked"
        )
    for index in (neighbours.valid.any(-1) & (neighbours.dims > 1)).nonzero().tolist():
        replicate = tuple(index)
        rows = neighbours.valid[replicate].nonzero().squeeze(-1)
        points = neighbours.points.detach()[replicate][rows].double()
        points = points[:, (points != points[0]).any(0)]
        exponent = exponent_of(points)
        yield Distinct(replicate, rows, points * 2.0**-exponent, exponent)


@dataclass(frozen=True)
class Neighbourhoods:
    """Some points of one replicate and the positions of their neighbours.

    Attributes:
        where: the index of the points in `(*R, n)`.
        offsets: positions of their first k neighbours relative to them, float64 `(b, k, d')`, in units of the
            distance of the farthest of these; only the d' columns that vary.
    """

    where: tuple[Tensor | int, ...]
    offsets: Tensor


def neighbourhoods(neighbours: Neighbours, k: int, extra: int, block_bytes: int) -> Iterator[Neighbourhoods]:
    """Yield all neighbourhoods of the replicates with two or more varying columns, in blocks.

    Args:
        neighbours: at least k per point.
        k: how many of them to use.
        extra: float64 numbers per neighbourhood that the caller needs besides the offsets.
        block_bytes: about the most memory for one block.
    """
    if neighbours.queries is not None:
        yield from _of_asked(neighbours, neighbours.queries, k, extra, block_bytes)
        return
    for distinct in distinct_points(neighbours):
        place = torch.full((neighbours.n,), -1, dtype=torch.int64, device=distinct.rows.device)
        place[distinct.rows] = torch.arange(len(distinct.rows), device=place.device)
        per_point = 8 * (3 * k * distinct.points.shape[-1] + extra)
        for rows in distinct.rows.split(max(1, block_bytes // per_point)):
            nearest = place[neighbours.indices[distinct.replicate][rows, :k]]
            offsets = distinct.points[nearest].sub_(distinct.points[place[rows], None])
            radius = torch.linalg.vector_norm(offsets, dim=-1).amax(-1)
            yield Neighbourhoods((*distinct.replicate, rows), offsets.div_(radius[:, None, None]))


def _of_asked(
    neighbours: Neighbours, queries: Tensor, k: int, extra: int, block_bytes: int
) -> Iterator[Neighbourhoods]:
    """Yield the neighbourhoods of the points that were asked; few rows are converted at a time."""
    for index in (neighbours.valid.any(-1) & (neighbours.dims > 1)).nonzero().tolist():
        replicate = tuple(index)
        points = neighbours.points.detach()[replicate]
        asked = neighbours.valid[replicate].nonzero().squeeze(-1)
        varying, exponent = _columns(points)
        unit = 2.0**-exponent
        size = max(1, block_bytes // (8 * (3 * k * int(varying.sum()) + extra)))
        for part in asked.split(size):
            offsets = points[neighbours.indices[replicate][part, :k]][..., varying].double() * unit
            offsets.sub_((points[queries[replicate][part]][:, varying].double() * unit)[:, None])
            radius = torch.linalg.vector_norm(offsets, dim=-1).amax(-1)
            yield Neighbourhoods((*replicate, part), offsets.div_(radius[:, None, None]))


def _columns(points: Tensor) -> tuple[Tensor, int]:
    """Return which columns of the finite rows vary, and the exponent of a unit in which these rows can be squared.

    Rows that were not asked count too: a column can be constant among those asked, as one that is mostly zero often is,
    and not among their neighbours.
    """
    low, high = torch.full((2, points.shape[1]), math.inf, dtype=points.dtype, device=points.device)
    high.neg_()
    for block in points.split(BLOCK):
        rows = block[block.isfinite().all(1)]
        if len(rows):
            low, high = torch.minimum(low, rows.amin(0)), torch.maximum(high, rows.amax(0))
    return high > low, exponent_of(torch.maximum(low.abs(), high.abs()).double())
