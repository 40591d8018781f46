"""Regression of one modality's outputs on the other's: a floor, since nothing keeps it from collapse.

    mse:     L = mean_i ‖x_i − y_i‖²
    cosine:  L = mean_i (1 − cos(x_i, y_i))

Constant outputs are a minimum of both, unless the normalisation forbids them: by the batch, where mse is 2 (1 − mean
correlation of the columns) per column. On unit vectors mse is twice the cosine form.
"""

from typing import ClassVar

from torch import Tensor, nn

from intrinsic_clip.loss.arguments import paired
from intrinsic_clip.loss.similarity import SMALLEST_NORM


class MSE(nn.Module):
    """Squared distance between the two of a pair; without negatives or decorrelation, it collapses: `mse_loss`.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import MSE
        >>> x = torch.eye(4)
        >>> round(float(MSE()(x, x)), 3)
        0.0
    """

    takes_temperature: ClassVar[bool] = False
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine", "population", "none"})

    def __init__(self) -> None:  # without it, unknown settings would be taken for nn.Module's
        super().__init__()

    def forward(self, x: Tensor, y: Tensor, tau: Tensor | None = None) -> Tensor:
        """Return the loss per replicate, `(*R,)`, of representations `(*R, n, d)`."""
        return mse_loss(x, y)


class CosineRegression(nn.Module):
    """Cosine distance between the two of a pair, at any length; it collapses: `cosine_regression_loss`.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import CosineRegression
        >>> x = torch.eye(4)
        >>> round(float(CosineRegression()(x, x)), 3)
        0.0
    """

    takes_temperature: ClassVar[bool] = False
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine", "population", "none"})

    def __init__(self) -> None:  # without it, unknown settings would be taken for nn.Module's
        super().__init__()

    def forward(self, x: Tensor, y: Tensor, tau: Tensor | None = None) -> Tensor:
        """Return the loss per replicate, `(*R,)`, of representations `(*R, n, d)`."""
        return cosine_regression_loss(x, y)


def mse_loss(x: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared distance between the two of a pair, `(*R,)`.

    Args:
        x, y: representations, `(*R, n, d)`.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import mse_loss
        >>> float(mse_loss(torch.zeros(5, 4), torch.ones(5, 4)))
        4.0
    """
    x, y = paired(x, y)
    return (x - y).square().sum(-1).mean(-1)


def cosine_regression_loss(x: Tensor, y: Tensor) -> Tensor:
    """Return the mean cosine distance between the two of a pair, `(*R,)`.

    Args:
        x, y: representations, `(*R, n, d)`, of any length within the range of `CosineSimilarity`, 1e-12 to 1e19.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import cosine_regression_loss
        >>> float(cosine_regression_loss(torch.eye(4), 3 * torch.eye(4)))
        0.0
    """
    x, y = (nn.functional.normalize(rows, dim=-1, eps=SMALLEST_NORM) for rows in paired(x, y))
    return 1 - (x * y).sum(-1).mean(-1)
