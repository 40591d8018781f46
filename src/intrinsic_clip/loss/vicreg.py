"""VICReg: variance, invariance and covariance of the outputs, without negatives.

    L = λ · mean (x − y)² + μ · ½ [v(x) + v(y)] + ν · [c(x) + c(y)]
    v(z) = 1/d Σ_k max(0, 1 − √(var z_k + ε)),   c(z) = 1/d Σ_{k≠l} cov(z)_kl²

Bardes, Ponce, LeCun, *VICReg: variance-invariance-covariance regularization for self-supervised learning*, ICLR 2022,
with the halved variance term of the authors' code. Variances and covariances are divided by n − 1.
"""

from typing import ClassVar

from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from intrinsic_clip.loss.arguments import check_positive, check_weights, paired
from intrinsic_clip.loss.columns import centred, off_diagonal
from intrinsic_clip.loss.precision import without_autocast
from intrinsic_clip.loss.rows import require_two_rows
from intrinsic_clip.typed_values import checked


class VICReg(nn.Module):
    """Variance-invariance-covariance loss of raw outputs, whose scale it sets itself: `vicreg_loss`.

    `objective/similarity` affects only the measurements, not the loss: columns of unit vectors cannot have the variance
    1 that the hinge of the variance term asks for.

    Args:
        invariance: weight λ of the mean squared difference.
        variance: weight μ of the hinge on standard deviations.
        covariance: weight ν of the squared covariances.
        epsilon: ε, what is added to the variances.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import VICReg
        >>> x = torch.eye(4)
        >>> round(float(VICReg()(x, x)), 3)
        12.539
    """

    takes_temperature: ClassVar[bool] = False
    takes_raw: ClassVar[bool] = True
    counts_columns: ClassVar[bool] = True
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine", "population", "none"})

    @checked("objective")
    def __init__(
        self,
        invariance: NonNegativeFloat = 25.0,
        variance: NonNegativeFloat = 25.0,
        covariance: NonNegativeFloat = 1.0,
        epsilon: PositiveFloat = 1e-4,
    ) -> None:
        super().__init__()
        self.invariance, self.variance, self.covariance = invariance, variance, covariance
        self.epsilon = epsilon

    def forward(self, x: Tensor, y: Tensor, tau: Tensor | None = None) -> Tensor:
        """Return the loss per replicate, `(*R,)`, of outputs `(*R, n, d)`."""
        return vicreg_loss(x, y, self.invariance, self.variance, self.covariance, self.epsilon)


def vicreg_loss(
    x: Tensor,
    y: Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    epsilon: float = 1e-4,
) -> Tensor:
    """Return the VICReg loss of paired outputs, `(*R,)`.

    Args:
        x, y: outputs, `(*R, n, d)`.
        invariance, variance, covariance: the weights λ, μ and ν.
        epsilon: ε, what is added to the variances.

    Raises:
        ConfigError: a batch of one row, which has no variance.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import vicreg_loss
        >>> zeros = torch.zeros(8, 4)
        >>> round(float(vicreg_loss(zeros, zeros)), 2)  # collapsed: the variance term alone, 25 · (1 − √ε)
        24.75
    """
    check_weights(invariance=invariance, variance=variance, covariance=covariance)
    check_positive(epsilon=epsilon)
    x, y = paired(x, y)
    require_two_rows(x, "VICReg")
    n, d = x.shape[-2:]
    loss = invariance * (x - y).square().mean((-2, -1))
    with without_autocast(x.device):
        for rows in (centred(x), centred(y)):
            deviations = (rows.square().sum(-2) / (n - 1) + epsilon).sqrt()
            loss = loss + variance * (1 - deviations).clamp_min(0).mean(-1) / 2
            covariances = rows.mT @ rows / (n - 1)
            loss = loss + covariance * off_diagonal(covariances).square().sum((-2, -1)) / d
    return loss
