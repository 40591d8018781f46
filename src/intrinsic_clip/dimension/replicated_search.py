"""Exact nearest neighbours of many replicates at once, for a GPU.

`exact_search` takes one replicate at a time, and of a few thousand points that is too little work for a GPU: it waits
for the next of some hundred small operations. Here each operation is over as many replicates as fit in memory. Only the
usual case is served: finite points, all distinct, whose proposals are certain. Replicates of any other kind are named,
for `exact_search` to take.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_clip.dimension.exact_search import NEGLIGIBLE, SPARE, TIE, _smallest
from intrinsic_clip.dimension.scaling import power_of_two
from intrinsic_clip.dimension.single_precision import full_single_precision

BLOCK_BYTES = 2**30  # of the scores of the replicates that are searched together
FEW_REPLICATES = 2  # fewer gain nothing


@dataclass(frozen=True)
class Together:
    """The neighbours of B replicates of n points.

    Attributes:
        done: which replicates are served, `(B,)`; nothing is said about the others.
        distances: ascending, float64, `(B, n, k)`.
        indices: row numbers, int64, `(B, n, k)`.
        dims: columns that vary, `(B,)`.
    """

    done: Tensor
    distances: Tensor
    indices: Tensor
    dims: Tensor


def worth_it(points: Tensor, k: int) -> bool:
    """Return whether replicates `(B, n, d)` gain by being searched together: on a GPU, and small enough."""
    b, n, _ = points.shape
    return points.is_cuda and b >= FEW_REPLICATES and k < n and _at_once(n, torch.float32) >= FEW_REPLICATES


@torch.no_grad()
def search_together(points: Tensor, k: int) -> Together:
    """Search the k nearest neighbours of every point of every replicate, `(B, n, d)` with k < n.

    Distances are right to a relative 1e-9, as those of `exact_search.search`.
    """
    b, n, _ = points.shape
    distances = points.new_zeros(b, n, k, dtype=torch.float64)
    indices = torch.zeros(b, n, k, dtype=torch.int64, device=points.device)
    done = torch.zeros(b, dtype=torch.bool, device=points.device)
    dims = (points.amax(1) > points.amin(1)).sum(-1)
    pending = points.isfinite().flatten(1).all(1).nonzero().squeeze(1)
    for dtype in (torch.float32, torch.float64):
        for replicates in pending.split(_at_once(n, dtype)):
            with full_single_precision(points.device):
                nearest, others, certain = _by_products(points[replicates], k, dtype)
            distances[replicates], indices[replicates], done[replicates] = nearest, others, certain
        pending = pending[~done[pending]]
        if not len(pending):
            break
    # Coinciding points count once, which changes every row: the search of one replicate does that.
    done &= (distances[..., 0] > 0).all(-1)
    return Together(done, distances, indices, dims)


def _at_once(n: int, dtype: torch.dtype) -> int:
    return max(1, BLOCK_BYTES // (dtype.itemsize * n * n))


def _by_products(points: Tensor, k: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Propose neighbours by products of that type, as `exact_search._ByProducts` does.

    Returns:
        Distances and indices, `(b, n, k)`, and which replicates are certain, `(b,)`.
    """
    scaled, unit = _scaled(points)
    b, n, d = points.shape
    count = min(k + SPARE, n - 1)
    centred = (scaled - scaled.mean(1, keepdim=True)).to(dtype)
    squares = torch.linalg.vector_norm(centred, dim=-1, dtype=torch.float64).square()
    scores = torch.baddbmm(squares.to(dtype)[:, None], centred * -2, centred.mT)
    scores.diagonal(dim1=1, dim2=2).fill_(math.inf)
    candidates = _smallest(scores.view(b * n, n), count).view(b, n, count)
    distances, order = _distances(scaled, candidates).sort(dim=-1)
    nearest, others = distances[..., :k], candidates.gather(2, order[..., :k])
    certain = torch.ones(b, dtype=torch.bool, device=points.device)
    if count < n - 1:
        reach = squares.sqrt() + squares.amax(1, keepdim=True).sqrt()
        error = (d + 4) * torch.finfo(dtype).eps * reach.square()
        closest_left_out = scores.gather(2, candidates).amax(2) + squares - error
        certain = (closest_left_out >= nearest[..., -1].square() * (1 - TIE)).all(1)
    return nearest * unit[:, None, None], others, certain


def _scaled(points: Tensor) -> tuple[Tensor, Tensor]:
    """Return float64 copies whose largest component is about 1, and the length of their distance 1, `(b,)`."""
    copy = points.double()
    exponent = torch.frexp(copy.abs().amax((1, 2))).exponent.clamp(-1000, 1000)
    copy = copy * power_of_two(-exponent)[:, None, None]
    if points.dtype == torch.float64:
        copy = copy.masked_fill(copy.abs() < NEGLIGIBLE, 0)
    return copy, power_of_two(exponent)


def _distances(points: Tensor, candidates: Tensor) -> Tensor:
    """Return the distances to the candidates, `(b, n, count)`, from differences, a few replicates at a time."""
    b, n, d = points.shape
    count = candidates.shape[-1]
    distances = points.new_empty(b, n, count)
    for part in torch.arange(b, device=points.device).split(max(1, BLOCK_BYTES // (16 * n * count * d))):
        rows, chosen = points[part], candidates[part]
        places = chosen + n * torch.arange(len(part), device=points.device)[:, None, None]
        others = rows.reshape(-1, d).index_select(0, places.flatten()).view(len(part), n, count, d)
        distances[part] = torch.linalg.vector_norm(others.sub_(rows[:, :, None]), dim=-1)
    return distances
