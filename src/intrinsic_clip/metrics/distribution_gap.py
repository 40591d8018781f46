"""The distance of the two modalities' distributions, where the modality gap is that of their means."""

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows
from intrinsic_clip.dimension.scaling import scale_of
from intrinsic_clip.metrics.alignment import as_pairs, directions, each_replicate
from intrinsic_clip.metrics.row_blocks import row_blocks


def distribution_gap(x: Rows, y: Rows) -> Tensor:
    """Return the energy distance of the modalities' directions f/|f| and g/|g|, `(*R,)` float64.

    `modality_gap` compares means, and is 0 for clouds about one point however different; the energy distance is 0 only
    where both directions have one distribution. Directions make it independent of the encoders' scale; it is at most 4.
    The estimate is unbiased, so that it scatters about 0 where the distributions are equal and can be negative. A zero
    vector has no direction and counts as the origin.

    Args:
        x, y: representations, `(*R, n, d)`; row i of x and row i of y are a pair.

    Raises:
        ValueError: x and y differ in shape, or there are fewer than two rows.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import distribution_gap
        >>> x = torch.tensor([[1.0, 0.0], [2.0, 0.0]])
        >>> float(distribution_gap(x, 3 * x)), float(distribution_gap(x, -x))
        (0.0, 4.0)
    """
    x, y = as_pairs(x, y)
    return energy_distance(directions(x), directions(y))


@torch.no_grad()
def energy_distance(x: Rows, y: Rows) -> Tensor:
    """Return 2 E|X − Y| − E|X − X'| − E|Y − Y'| of paired rows without bias, `(*R,)` float64.

    Székely, Rizzo, *Energy statistics: a class of statistics based on distances*, Journal of Statistical Planning and
    Inference 143, 2013. Each mean is over i ≠ j: a row and itself have distance 0, and a row and its partner depend on
    each other. Memory is that of blocks of rows.

    Args:
        x, y: `(*R, n, d)`; row i of x and row i of y are a pair.

    Raises:
        ValueError: x and y differ in shape, or there are fewer than two rows.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import energy_distance
        >>> x = torch.arange(4.0)[:, None]
        >>> round(float(energy_distance(x, x + 10)), 3)  # 2 · 10 − 2 · 5 / 3
        16.667
    """
    x, y = as_pairs(x, y)
    replicates = x.shape[:-2]
    if x.shape[-2] < 2:
        raise ValueError("the energy distance needs at least 2 rows, got 1")
    values = [_of_one(x_r.double(), y_r.double()) for x_r, y_r in each_replicate(x, y)]
    return torch.stack(values).reshape(replicates) if values else x.new_zeros(replicates, dtype=torch.float64)


def _of_one(x: Tensor, y: Tensor) -> Tensor:
    n = len(x)
    scale = torch.maximum(scale_of(x), scale_of(y))
    x, y = x / scale, y / scale
    total = x.new_zeros(())
    for block in row_blocks(n, n, x.device):
        total += (
            2 * _distances(x[block], y).sum() - _distances(x[block], x).sum() - _distances(y[block], y).sum()
        )
    partners = torch.linalg.vector_norm(x - y, dim=-1).sum()
    return (total - 2 * partners) / (n * (n - 1)) * scale.squeeze()


def _distances(rows: Tensor, others: Tensor) -> Tensor:
    return torch.cdist(rows, others, compute_mode="donot_use_mm_for_euclid_dist")  # which would cancel near 0
