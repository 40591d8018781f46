"""Metrics that any encoder pulls back to its inputs, in coordinates in which their eigenvalues are few."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_clip.dimension.derivatives import Encoder, Jacobians
from intrinsic_clip.shared_dimension.views import principal_directions

# Points, at most, of rows that are vectors, and of images, whose Jacobians are large.
VECTORS, OTHERS = 400, 25


@dataclass(frozen=True)
class Directions:
    """Directions of the inputs that a metric is taken along.

    Attributes:
        columns: `(p, k)`, scaled so that the rows vary by one unit along each on average; None: all, as they are.
        note: what was decided; "" where all directions are taken.
    """

    columns: Tensor | None
    note: str = ""


def directions(rows: Tensor, widest: int, seed: int) -> Directions:
    """Return the directions of vectors along which a training on them would see them: standardised, and few.

    Args:
        rows: inputs, `(n, *input)`; of images all directions are taken.
        widest: directions, at most; more become that many principal ones.
        seed: of the choice of rows that they are fitted on.
    """
    if rows.ndim != 2:
        return Directions(None)
    values = rows.double()
    spread = values.std(0)
    if rows.shape[1] <= widest:
        return Directions(torch.diag(spread).to(rows.dtype))
    standardised = (values - values.mean(0)) / spread.where(spread > 0, 1.0)
    components, share = principal_directions(standardised, widest, seed)
    note = (
        f"the {len(components)} leading principal components of {rows.shape[1]:,} columns are looked "
        f"along; they hold {100 * share:.1f} % of the variance"
    )
    return Directions((spread[:, None] * components.T).to(rows.dtype), note)


def metrics(
    encoder: Encoder,
    rows: Tensor,
    along: Tensor | None,
    most: int,
    seed: int,
    report: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Return the metric of every replicate at every row, `(S, n, q, q)`, each of trace 1; points with NaN are left out.

    Its coordinates are `along`, or at each point an orthonormal basis of the space that the replicates together
    do not ignore: its eigenvalues, and those of means over replicates, are the same but for zeros.

    Args:
        encoder: maps `(*R, n, *input)` to `(*R, n, d)`, with one axis of replicates or none.
        rows: `(n, *input)`.
        along: directions `(p, k)`; None: all.
        most: rows of a Jacobian; more outputs are compressed by that many random directions.
        seed: of them.
        report: is told the points done and their number.

    Raises:
        ValueError: no point has a finite Jacobian.
    """
    blocks = [block for block in _blocks(encoder, rows, along, most, seed, report) if block.shape[1]]
    if not blocks:
        raise ValueError("no point has a finite Jacobian")
    return torch.cat(blocks, 1)


def _blocks(
    encoder: Encoder,
    rows: Tensor,
    along: Tensor | None,
    most: int,
    seed: int,
    report: Callable[[int, int], None] | None,
) -> Iterator[Tensor]:
    input_dims = rows.ndim - 1
    done = 0
    for points, jacobian, _ in Jacobians(encoder, rows, input_dims, most, seed, block_bytes=2**27):
        with torch.no_grad():
            moved = jacobian.cpu() if along is None else jacobian.cpu() @ along
            moved = moved[:, moved.isfinite().all(-1).all(-1).all(0)]
            norm = moved.flatten(2).norm(dim=2).clamp_min(torch.finfo(moved.dtype).tiny)
            moved = moved / norm[..., None, None]
            yield _gram(moved)
        done += len(points)
        if report is not None:
            report(done, len(rows))


def _gram(jacobian: Tensor) -> Tensor:
    """Return JᵀJ of `(S, n, m, p)`, in a basis of the rows of all replicates where they are fewer than p."""
    replicates, n, m, p = jacobian.shape
    if replicates * m < p:
        stacked = jacobian.transpose(0, 1).reshape(n, replicates * m, p)
        jacobian = jacobian @ torch.linalg.qr(stacked.mT).Q
    return jacobian.mT @ jacobian
