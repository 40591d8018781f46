"""Soft CCA: equal standardised outputs, with decorrelation as a penalty instead of a constraint.

    L = mean (x̂ − ŷ)² + λ Σ_{z ∈ {x̂, ŷ}} mean_{k≠l} |cov(z)_kl|,   columns of x̂, ŷ with mean 0 and variance 1

Chang, Xiang, Hospedales, *Scalable and effective deep CCA via soft decorrelation*, CVPR 2018. Two things differ from
the paper: the covariance is that of the batch, not a running average over batches, so that a loss depends on its batch
alone; and both terms are means over columns or pairs of them, so that λ does not depend on d, both as in cca-zoo.
"""

from typing import ClassVar

from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from intrinsic_clip.loss.arguments import check_positive, check_weights, paired
from intrinsic_clip.loss.columns import off_diagonal, standardised
from intrinsic_clip.loss.precision import without_autocast
from intrinsic_clip.loss.rows import require_two_rows
from intrinsic_clip.typed_values import checked


class SoftDCCA(nn.Module):
    """CCA by a decorrelation loss on raw outputs, which the loss standardises column by column: `soft_dcca_loss`.

    `objective/similarity` affects only the measurements, not the loss.

    Args:
        decorrelation: weight λ of the covariances between different columns; 0.5 as in cca-zoo.
        epsilon: what is added to the variances.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import SoftDCCA
        >>> x = torch.eye(4)
        >>> round(float(SoftDCCA()(x, x)), 3)
        0.444
    """

    takes_temperature: ClassVar[bool] = False
    takes_raw: ClassVar[bool] = True
    counts_columns: ClassVar[bool] = True
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine", "population", "none"})

    @checked("objective")
    def __init__(self, decorrelation: NonNegativeFloat = 0.5, epsilon: PositiveFloat = 1e-5) -> None:
        super().__init__()
        self.decorrelation, self.epsilon = decorrelation, epsilon

    def forward(self, x: Tensor, y: Tensor, tau: Tensor | None = None) -> Tensor:
        """Return the loss per replicate, `(*R,)`, of outputs `(*R, n, d)`."""
        return soft_dcca_loss(x, y, self.decorrelation, self.epsilon)


def soft_dcca_loss(x: Tensor, y: Tensor, decorrelation: float = 0.5, epsilon: float = 1e-5) -> Tensor:
    """Return the soft CCA loss of paired outputs, `(*R,)`.

    Args:
        x, y: outputs, `(*R, n, d)`.
        decorrelation: weight λ of the covariances between different columns.
        epsilon: what is added to the variances.

    Raises:
        ConfigError: a batch of one row, which has no covariance.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import soft_dcca_loss
        >>> x = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        >>> round(float(soft_dcca_loss(x, 3 * x)), 6), round(float(soft_dcca_loss(x, -x)), 3)
        (0.0, 4.0)
    """
    check_weights(decorrelation=decorrelation)
    check_positive(epsilon=epsilon)
    x, y = paired(x, y)
    require_two_rows(x, "soft CCA")
    x, y = standardised(x, epsilon), standardised(y, epsilon)
    d = x.shape[-1]
    loss = (x - y).square().mean((-2, -1))
    with without_autocast(x.device):
        for rows in (x, y):
            covariances = rows.mT @ rows / (rows.shape[-2] - 1)
            loss = loss + decorrelation * off_diagonal(covariances).abs().sum((-2, -1)) / max(1, d * (d - 1))
    return loss
