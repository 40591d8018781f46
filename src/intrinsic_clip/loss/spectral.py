"""The spectral contrastive loss, a factorisation of the matrix of pairs.

    L = −2/n Σ_i ⟨x_i, y_i⟩ + 1/(n (n − 1)) Σ_{i≠j} ⟨x_i, y_j⟩²

HaoChen, Wei, Gaidon, Ma, *Provable guarantees for self-supervised deep learning with spectral contrastive loss*,
NeurIPS 2021, equation 6, with the positives left out of the second sum as in the authors' code. Since
Σ_ij ⟨x_i, y_j⟩² = ⟨XᵀX, YᵀY⟩, two d × d products suffice, and nothing is n × n.
"""

from typing import ClassVar

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn

from intrinsic_clip.loss.arguments import check_positive, paired
from intrinsic_clip.loss.precision import without_autocast
from intrinsic_clip.loss.rows import require_two_rows
from intrinsic_clip.loss.similarity import SMALLEST_NORM
from intrinsic_clip.typed_values import checked


class Spectral(nn.Module):
    """Spectral contrastive loss, which needs no temperature and sets the scale of the outputs itself: `spectral_loss`.

    Args:
        mu: μ of the authors' code: outputs longer than √μ are drawn back to that length, and the loss is divided by μ;
            None: the loss of the paper, without a limit. Few rows that are trained for long can then grow without
            limit, each along a direction of its own, since no row is its own negative.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import Spectral
        >>> x = torch.eye(4)
        >>> round(float(Spectral()(x, x)), 3)
        -2.0
    """

    takes_temperature: ClassVar[bool] = False
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine", "population", "none"})

    @checked("objective")
    def __init__(self, mu: PositiveFloat | None = None) -> None:
        super().__init__()
        self.mu = mu

    def forward(self, x: Tensor, y: Tensor, tau: Tensor | None = None) -> Tensor:
        """Return the loss per replicate, `(*R,)`, of representations `(*R, n, d)`."""
        return spectral_loss(x, y, self.mu)


def spectral_loss(x: Tensor, y: Tensor, mu: float | None = None) -> Tensor:
    """Return the spectral contrastive loss of paired representations.

    Args:
        x, y: representations, `(*R, n, d)`.
        mu: the square of the greatest length that outputs may have; None: no limit.

    Returns:
        The loss per replicate, `(*R,)`; with orthogonal pairs of length 1 it is −2.

    Raises:
        ConfigError: a batch of one row, which has no negatives.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import spectral_loss
        >>> float(spectral_loss(torch.eye(4), torch.eye(4)))
        -2.0
    """
    if mu is not None:
        check_positive(mu=mu)
    x, y = paired(x, y)
    require_two_rows(x, "the spectral loss")
    n = x.shape[-2]
    with without_autocast(x.device):
        if mu is not None:
            x, y = _within(x, mu), _within(y, mu)
        positives = (x * y).sum(-1)
        squares = ((x.mT @ x) * (y.mT @ y)).sum((-2, -1))
        negatives = (squares - positives.square().sum(-1)) / (n * (n - 1))
        return (negatives - 2 * positives.mean(-1)) / (1.0 if mu is None else mu)


def _within(rows: Tensor, mu: float) -> Tensor:
    """Draw rows longer than √μ back to that length."""
    norms = torch.linalg.vector_norm(rows, dim=-1, keepdim=True).clamp_min(SMALLEST_NORM)
    return rows * (mu**0.5 / norms).clamp_max(1)
