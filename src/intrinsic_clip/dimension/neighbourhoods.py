"""Where the neighbours of each point lie: what estimators share that look at more than their distances."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_clip.dimension.neighbours import Neighbours
from intrinsic_clip.dimension.scaling import exponent_of


@dataclass(frozen=True)
class Distinct:
    """The points of one replicate that take part.

    Attributes:
        replicate: which one, an index of the leading axes of the points.
        rows: the rows they are, ascending, `(m,)`.
        points: float64, `(m, d')`: only the d' columns that vary, in units of 2**exponent, so that their
            squares neither overflow nor vanish.
        exponent: of that unit.
    """

    replicate: tuple[int, ...]
    rows: Tensor
    points: Tensor
    exponent: int


def distinct_points(neighbours: Neighbours) -> Iterator[Distinct]:
    """The valid points of every replicate that has any in two or more varying columns."""
    for index in (neighbours.valid.any(-1) & (neighbours.dims > 1)).nonzero().tolist():
        replicate = tuple(index)
        rows = neighbours.valid[replicate].nonzero().squeeze(-1)
        points = neighbours.points.detach()[replicate][rows].double()
        points = points[:, (points != points[0]).any(0)]
        exponent = exponent_of(points)
        yield Distinct(replicate, rows, points * 2.0**-exponent, exponent)


@dataclass(frozen=True)
class Neighbourhoods:
    """Some points of one replicate and where their neighbours lie.

    Attributes:
        where: the index of the points in `(*R, n)`.
        offsets: their first k neighbours as seen from them, float64 `(b, k, d')`, in units of the distance of
            the farthest of these; only the d' columns that vary.
    """

    where: tuple[Tensor | int, ...]
    offsets: Tensor


def neighbourhoods(neighbours: Neighbours, k: int, extra: int, block_bytes: int) -> Iterator[Neighbourhoods]:
    """All neighbourhoods of the replicates with two or more varying columns, in blocks.

    Args:
        neighbours: at least k per point.
        k: how many of them.
        extra: float64 numbers per neighbourhood that the caller needs beside the offsets.
        block_bytes: about the most memory for one block.
    """
    for some in distinct_points(neighbours):
        place = torch.full((neighbours.n,), -1, dtype=torch.int64, device=some.rows.device)
        place[some.rows] = torch.arange(len(some.rows), device=place.device)
        per_point = 8 * (3 * k * some.points.shape[-1] + extra)
        for rows in some.rows.split(max(1, block_bytes // per_point)):
            theirs = place[neighbours.indices[some.replicate][rows, :k]]
            offsets = some.points[theirs].sub_(some.points[place[rows], None])
            radius = torch.linalg.vector_norm(offsets, dim=-1).amax(-1)
            yield Neighbourhoods((*some.replicate, rows), offsets.div_(radius[:, None, None]))
