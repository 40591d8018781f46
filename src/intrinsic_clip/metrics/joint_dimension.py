"""Shared dimensions from intrinsic dimensions: those of two views together lack what the views share."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.dimension import DimensionEstimate, Neighbours, nearest_neighbours, twonn
from intrinsic_clip.dimension.arrays import Rows, whole_number
from intrinsic_clip.dimension.scaling import scale_of
from intrinsic_clip.metrics.alignment import as_same_rows, without_incomplete
from intrinsic_clip.seeding import seeded

PERMUTATIONS = 99
Estimator = Callable[[Neighbours], DimensionEstimate]


class JointNeighbours(NamedTuple):
    """Neighbours in x, in y, and in both side by side: one search for several estimators.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import joint_neighbours
        >>> neighbours = joint_neighbours(torch.randn(50, 3), torch.randn(50, 2), k=5)
        >>> neighbours.joint.points.shape, neighbours.joint.k
        (torch.Size([50, 5]), 5)
    """

    x: Neighbours
    y: Neighbours
    joint: Neighbours


@dataclass(frozen=True)
class JointDimension:
    """Intrinsic dimensions of two views and of both side by side, and what follows from them.

    Attributes:
        x, y, joint: estimates, `(*R,)` each.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import JointDimension
        >>> dimension = JointDimension(*torch.tensor([[5.0], [4.0], [7.0]]))
        >>> float(dimension.shared), float(dimension.correlation)
        (2.0, 0.4000000059604645)
    """

    x: Tensor
    y: Tensor
    joint: Tensor

    @property
    def shared(self) -> Tensor:
        """ID(x) + ID(y) − ID(x, y), `(*R,)`."""
        return self.x + self.y - self.joint

    @property
    def correlation(self) -> Tensor:
        """Shared dimensions over the most that there could be, max(ID(x), ID(y)), `(*R,)`."""
        return self.shared / self.x.maximum(self.y)


class DimensionCorrelation(NamedTuple):
    """Intrinsic dimension correlation, `(*R,)` float64 each; NaN where a dimension cannot be estimated.

    Attributes:
        value: the coefficient: about 0 for independent views, 1 where each is a function of the other.
        p_value: share of shuffled pairs whose joint dimension is no larger, by permutation.
        shuffled: mean coefficient of the shuffled pairs; far from 0, it is the bias of the estimates.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import dimension_correlation
        >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
        >>> [round(float(number), 2) for number in dimension_correlation(x, x.exp())]
        [1.01, 0.01, 0.23]
    """

    value: Tensor
    p_value: Tensor
    shuffled: Tensor


@torch.no_grad()
def joint_neighbours(x: Rows, y: Rows, k: int) -> JointNeighbours:
    """Search neighbours in x, in y and in both side by side, each view scaled to a total variance of 1.

    With the scale of either view given, the distances in both side by side would be those of the larger one, and the
    joint dimension its dimension. Pairs that hold NaN or infinity are left out of all three searches, with a warning.

    Args:
        x, y: `(*R, n, p_x)` and `(*R, n, p_y)`; row i of x and row i of y are a pair.
        k: neighbours per point.

    Raises:
        ValueError: x and y differ in replicates or rows, or are empty.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import mle, twonn
        >>> from intrinsic_clip.metrics import joint_dimension, joint_neighbours
        >>> _ = torch.manual_seed(0)
        >>> z = torch.rand(2000, 1)  # shared
        >>> x, y = torch.cat([z, torch.rand(2000, 1)], 1), torch.cat([z, torch.rand(2000, 1)], 1)
        >>> neighbours = joint_neighbours(x, y, k=20)
        >>> [round(float(joint_dimension(neighbours, estimator).shared), 1) for estimator in (mle, twonn)]
        [1.0, 1.1]
    """
    x, y = _scaled_alike(*as_same_rows(x, y))
    return JointNeighbours(*(nearest_neighbours(points, k) for points in (x, y, torch.cat([x, y], -1))))


def joint_dimension(neighbours: JointNeighbours, estimator: Estimator = twonn) -> JointDimension:
    """Estimate ID(x), ID(y) and ID(x, y), of which ID(x) + ID(y) − ID(x, y) is the number of shared dimensions.

    The identity holds for smooth views of independent latents, each of which adds 1 to the dimensions of the views
    it enters. The estimates hold where neighbourhoods are small: of many dimensions they lack some, and of the joint
    dimension most, which then looks like sharing.

    Args:
        neighbours: from `joint_neighbours`.
        estimator: of intrinsic dimension, a function of neighbours.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import joint_dimension, joint_neighbours
        >>> _ = torch.manual_seed(0)
        >>> dimension = joint_dimension(joint_neighbours(torch.rand(2000, 2), torch.rand(2000, 1), k=2))
        >>> [round(float(value), 1) for value in (dimension.x, dimension.y, dimension.joint)]
        [2.0, 1.0, 3.1]
    """
    return JointDimension(*(estimator(side).value for side in neighbours))


@torch.no_grad()
def dimension_correlation(
    x: Rows,
    y: Rows,
    estimator: Estimator = twonn,
    k: int = 2,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> DimensionCorrelation:
    """Return the intrinsic dimension correlation (ID(x) + ID(y) − ID(x, y)) / max(ID(x), ID(y)), and its p-value.

    Basile, Acevedo, Bortolussi, Anselmi, Rodriguez, *Intrinsic dimension correlation: uncovering nonlinear
    connections in multimodal representations*, 2024. Its p-value is that of the hypothesis that pairs are
    independent: (1 + the number of shuffled pairs whose joint dimension is no larger) / (1 + permutations). Pairs that
    hold NaN or infinity are left out, of the shuffled ones too.

    Args:
        x, y: `(*R, n, p_x)` and `(*R, n, p_y)`; row i of x and row i of y are a pair.
        estimator: of intrinsic dimension, a function of neighbours.
        k: neighbours that it needs of each point.
        permutations: how many times pairs are shuffled.
        seed: of the permutations, which all replicates share.

    Raises:
        ValueError: x and y differ in replicates or rows, or are empty, or there is no permutation.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import dimension_correlation
        >>> _ = torch.manual_seed(0)
        >>> angle = 6.28 * torch.rand(500, 1)
        >>> correlation = dimension_correlation(angle.cos(), angle.sin())  # uncorrelated, yet not independent
        >>> round(float(correlation.value), 1), float(correlation.p_value)
        (1.1, 0.01)
    """
    permutations = whole_number("permutations", permutations, 1)
    x, y = as_same_rows(x, y)
    dimension = joint_dimension(joint_neighbours(x, y, k), estimator)
    x, y = _scaled_alike(x, y)
    generator = seeded(seed)
    no_larger, total = torch.zeros_like(dimension.joint), torch.zeros_like(dimension.joint)
    for _ in range(permutations):
        order = torch.randperm(y.shape[-2], generator=generator).to(y.device)
        shuffled = estimator(nearest_neighbours(torch.cat([x, _reordered(y, order)], -1), k)).value
        no_larger += shuffled <= dimension.joint
        total += JointDimension(dimension.x, dimension.y, shuffled).correlation
    value = dimension.correlation
    p_value = ((1 + no_larger) / (1 + permutations)).where(value.isfinite(), math.nan)
    return DimensionCorrelation(value, p_value, total / permutations)


def _reordered(y: Tensor, order: Tensor) -> Tensor:
    """Return rows in another order, in which those that are NaN stay where they are, beside those of x."""
    left_out = y.isnan().any(-1)
    if not bool(left_out.any()):
        return y[..., order, :]
    places = left_out.int().argsort(dim=-1, stable=True)  # of the complete rows first
    source = order[left_out[..., order].int().argsort(dim=-1, stable=True)]
    return torch.empty_like(y).scatter_(
        -2,
        places[..., None].expand_as(y),
        y.gather(-2, source[..., None].expand_as(y)),
    )


def _scaled_alike(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return both views centred, with a total variance of 1; pairs that are not finite are NaN in both of them."""
    x, y = without_incomplete(x.double(), y.double())
    return _scaled(x), _scaled(y)


def _scaled(points: Tensor) -> Tensor:
    """Return centred points with a total variance of 1, without regard to NaN; a constant view stays constant."""
    points = points / scale_of(points.nan_to_num())
    points = points - points.nanmean(-2, keepdim=True)
    total = points.square().sum(-1).nanmean(-1).sqrt()[..., None, None]
    return points / total.where(total > 0, 1.0)
