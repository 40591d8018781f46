"""Barlow Twins: the cross-correlation of the outputs' columns is drawn to the identity.

    L = Σ_k (1 − C_kk)² + λ Σ_{k≠l} C_kl²,   C = 1/n X̂ᵀ Ŷ with columns of mean 0 and variance 1

Zbontar, Jing, Misra, LeCun, Deny, *Barlow Twins: self-supervised learning via redundancy reduction*, ICML 2021.
"""

from typing import ClassVar

from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from intrinsic_clip.loss.arguments import check_positive, check_weights, paired
from intrinsic_clip.loss.columns import off_diagonal, standardised
from intrinsic_clip.loss.precision import without_autocast
from intrinsic_clip.loss.rows import require_two_rows
from intrinsic_clip.typed_values import checked


class BarlowTwins(nn.Module):
    """Redundancy reduction of raw outputs, which the loss standardises column by column: `barlow_twins_loss`.

    `objective/similarity` affects only the measurements, not the loss.

    Args:
        redundancy: weight λ of the correlations between different columns.
        epsilon: what is added to the variances.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import BarlowTwins
        >>> x = torch.eye(4)
        >>> round(float(BarlowTwins()(x, x)), 3)
        0.007
    """

    takes_temperature: ClassVar[bool] = False
    takes_raw: ClassVar[bool] = True
    counts_columns: ClassVar[bool] = True
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine", "population", "none"})

    @checked("objective")
    def __init__(self, redundancy: NonNegativeFloat = 5e-3, epsilon: PositiveFloat = 1e-5) -> None:
        super().__init__()
        self.redundancy, self.epsilon = redundancy, epsilon

    def forward(self, x: Tensor, y: Tensor, tau: Tensor | None = None) -> Tensor:
        """Return the loss per replicate, `(*R,)`, of outputs `(*R, n, d)`."""
        return barlow_twins_loss(x, y, self.redundancy, self.epsilon)


def barlow_twins_loss(x: Tensor, y: Tensor, redundancy: float = 5e-3, epsilon: float = 1e-5) -> Tensor:
    """Return the Barlow Twins loss of paired outputs, `(*R,)`.

    Args:
        x, y: outputs, `(*R, n, d)`.
        redundancy: weight λ of the correlations between different columns.
        epsilon: what is added to the variances.

    Raises:
        ConfigError: a batch of one row, which has no correlations.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import barlow_twins_loss
        >>> x = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        >>> round(float(barlow_twins_loss(x, x)), 6), round(float(barlow_twins_loss(x, -x)), 3)
        (0.0, 8.0)
    """
    check_weights(redundancy=redundancy)
    check_positive(epsilon=epsilon)
    x, y = paired(x, y)
    require_two_rows(x, "Barlow Twins")
    x, y = standardised(x, epsilon), standardised(y, epsilon)
    with without_autocast(x.device):
        correlations = x.mT @ y / x.shape[-2]
    diagonal = correlations.diagonal(dim1=-2, dim2=-1)
    redundant = off_diagonal(correlations).square().sum((-2, -1))
    return (1 - diagonal).square().sum(-1) + redundancy * redundant
