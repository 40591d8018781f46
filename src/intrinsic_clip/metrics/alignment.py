"""Alignment: the closeness of the two representations of a pair, and of the two modalities' means."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows, as_points, check_same_index
from intrinsic_clip.dimension.table_columns import check_sides
from intrinsic_clip.seeding import seeded

SMALL, LARGE = 1e-145, 1e145  # lengths between which squares neither vanish nor overflow in float64


def as_pairs(x: Rows, y: Rows) -> tuple[Tensor, Tensor]:
    """Return x and y as tensors `(*R, n, d)` on the device of x.

    Raises:
        ValueError: they are not alike, or empty, or tables of another index, or of the same columns in another order.
    """
    check_same_index({"x": x, "y": y})
    check_sides(x, y)
    x, y = as_points(x, "x"), as_points(y, "y")
    if x.shape != y.shape or x.ndim < 2 or 0 in x.shape[-2:]:
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"x and y must be (*R, n, d), alike and not empty, got shapes {shapes}")
    return x, y.to(x.device)


def as_same_rows(x: Rows, y: Rows) -> tuple[Tensor, Tensor]:
    """Return x and y as tensors `(*R, n, p_x)` and `(*R, n, p_y)` on the device of x.

    Raises:
        ValueError: they differ in rows or index, or are empty.
    """
    check_same_index({"x": x, "y": y})
    x, y = as_points(x, "x"), as_points(y, "y")
    if x.ndim < 2 or x.shape[:-1] != y.shape[:-1] or 0 in (*x.shape[-2:], y.shape[-1]):
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(
            f"x and y must be (*R, n, p_x) and (*R, n, p_y) with one n and not empty, got {shapes}"
        )
    return x, y.to(x.device)


def each_replicate(*sides: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Return the rows of all sides, `(*R, n, p)`, replicate by replicate, `(n, p)` each."""
    flat = (side.reshape(math.prod(side.shape[:-2]), *side.shape[-2:]) for side in sides)
    return zip(*flat, strict=True)


def without_incomplete(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return both sides `(*R, n, p)` with NaN in the pairs of which either row is not finite."""
    complete = (x.isfinite().all(-1) & y.isfinite().all(-1))[..., None]
    return x.where(complete, math.nan), y.where(complete, math.nan)


class PairSimilarities(NamedTuple):
    """Inner products of n positive and of n random pairs, `(*R, n)` each.

    Attributes:
        positive: of the pairs that belong together.
        random: of pairs drawn at random among those that do not.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import pair_similarities
        >>> similarities = pair_similarities(torch.eye(3), torch.eye(3))
        >>> similarities.positive.tolist(), similarities.random.tolist()
        ([1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
    """

    positive: Tensor
    random: Tensor


def alignment(x: Rows, y: Rows) -> Tensor:
    """Return the mean cosine of the positive pairs, E cos(f(X), g(Y)), `(*R,)` float64.

    The paper writes alignment as −E cos(f, g); this is the mean cosine itself, `alignment/cosine` among the
    results, which is 1 where every pair points the same way. A zero vector has no direction and counts as
    cosine 0.

    Args:
        x, y: representations, `(*R, n, d)`; row i of x and row i of y are a pair.

    Raises:
        ValueError: x and y differ in shape or hold no row.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import alignment
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
        >>> y = torch.tensor([[5.0, 0.0], [3.0, 0.0]])
        >>> float(alignment(x, y))  # cosines 1 and 0
        0.5
    """
    x, y = as_pairs(x, y)
    return (directions(x) * directions(y)).sum(-1).mean(-1)


def modality_gap(x: Rows, y: Rows) -> Tensor:
    """Return the distance of the modalities' mean directions, ‖E f/|f| − E g/|g|‖, `(*R,)` float64.

    Liang, Zhang, Kwon, Yeung, Zou, *Mind the gap: understanding the modality gap in multi-modal contrastive
    representation learning*, NeurIPS 2022. It lies between 0 and 2. A zero vector has no
    direction and counts as the origin.

    Args:
        x, y: representations, `(*R, n, d)`.

    Raises:
        ValueError: x and y differ in shape or hold no row.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import modality_gap
        >>> x = torch.tensor([[2.0, 0.0], [4.0, 0.0]])
        >>> float(modality_gap(x, x)), float(modality_gap(x, -x))
        (0.0, 2.0)
    """
    x, y = as_pairs(x, y)
    return torch.linalg.vector_norm(directions(x).mean(-2) - directions(y).mean(-2), dim=-1)


def pair_similarities(x: Rows, y: Rows, seed: int = 0) -> PairSimilarities:
    """Return the similarities of the n positive pairs and of n random pairs, for their histograms.

    Every row of x gets a partner drawn at random among the other rows of y, no row of y is used twice, and
    all replicates share the draw.

    Args:
        x, y: representations, `(*R, n, d)`; their inner products are taken without normalising.
        seed: seed of the draw; torch's global generator is left alone.

    Raises:
        ValueError: x and y differ in shape, or there are fewer than two rows.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import pair_similarities
        >>> positive, random = pair_similarities(torch.eye(4), 2 * torch.eye(4))
        >>> positive.tolist(), random.tolist()
        ([2.0, 2.0, 2.0, 2.0], [0.0, 0.0, 0.0, 0.0])
    """
    x, y = as_pairs(x, y)
    n = x.shape[-2]
    if n < 2:
        raise ValueError("random pairs need at least 2 rows, got 1")
    # One cycle through all rows in random order: unlike any permutation, it gives no row its own partner.
    order = torch.randperm(n, generator=seeded(seed))
    other = torch.empty_like(order)
    other[order] = order.roll(1)
    x, y = _at_least_float32(x), _at_least_float32(y)
    return PairSimilarities((x * y).sum(-1), (x * y[..., other.to(y.device), :]).sum(-1))


def directions(rows: Tensor) -> Tensor:
    """Scale rows `(*R, n, d)` to length 1, float64; a zero vector stays zero."""
    rows = rows.double()  # its squares do not vanish when a collapsing encoder's outputs are tiny
    norms = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    if rows.shape[-1] and not bool(((norms > SMALL) & (norms < LARGE)).all()):
        largest = rows.abs().amax(-1, keepdim=True)
        extreme = largest.isfinite() & (largest > 0) & ~((norms > SMALL) & (norms < LARGE))
        rows = rows / largest.where(extreme, 1.0)
        norms = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return rows / norms.where(norms != 0, 1.0)


def _at_least_float32(rows: Tensor) -> Tensor:
    return rows.to(torch.promote_types(rows.dtype, torch.float32))
