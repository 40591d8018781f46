"""Alignment and uniformity: pairs close together, everything else spread over the sphere.

    L = w_a · mean_i ‖x_i − y_i‖^α + w_u · ½ [u(x) + u(y)],   u(z) = log mean_{i≠j} exp(−t ‖z_i − z_j‖²)

Wang, Isola, *Understanding contrastive representation learning through alignment and uniformity on the hypersphere*,
ICML 2020. Uniformity is that of each modality by itself.
"""

import math
from typing import ClassVar

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from intrinsic_clip.loss.arguments import check_positive, check_weights, paired
from intrinsic_clip.loss.precision import without_autocast
from intrinsic_clip.loss.rows import by_rows, require_two_rows, without_partners
from intrinsic_clip.typed_values import checked

SMALLEST_SQUARE = 1e-12  # of a distance: below it powers go to 0 along its square, with a finite gradient


class AlignmentUniformity(nn.Module):
    """Alignment of pairs and uniformity of each modality: `alignment_uniformity_loss`.

    Raw outputs are refused: the loss would fall without limit as they grow.

    Args:
        alignment: weight of the alignment.
        uniformity: weight of the uniformity.
        exponent: α, of the distance between the two of a pair.
        sharpness: t, of the Gaussian kernel.
        chunk: rows of the n × n distances in memory at a time; None: all, which is faster.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import AlignmentUniformity
        >>> x = torch.eye(4)
        >>> round(float(AlignmentUniformity()(x, x)), 3)
        -4.0
    """

    takes_temperature: ClassVar[bool] = False
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine", "population"})

    @checked("objective")
    def __init__(
        self,
        alignment: NonNegativeFloat = 1.0,
        uniformity: NonNegativeFloat = 1.0,
        exponent: PositiveFloat = 2.0,
        sharpness: PositiveFloat = 2.0,
        chunk: PositiveInt | None = None,
    ) -> None:
        super().__init__()
        self.alignment, self.uniformity = alignment, uniformity
        self.exponent, self.sharpness, self.chunk = exponent, sharpness, chunk

    def forward(self, x: Tensor, y: Tensor, tau: Tensor | None = None) -> Tensor:
        """Return the loss per replicate, `(*R,)`, of representations `(*R, n, d)`."""
        return alignment_uniformity_loss(
            x, y, self.alignment, self.uniformity, self.exponent, self.sharpness, self.chunk
        )


def alignment_uniformity_loss(
    x: Tensor,
    y: Tensor,
    alignment: float = 1.0,
    uniformity: float = 1.0,
    exponent: float = 2.0,
    sharpness: float = 2.0,
    chunk: int | None = None,
) -> Tensor:
    """Return the weighted sum of alignment and uniformity of paired representations, `(*R,)`.

    Args:
        x, y: normalised representations, `(*R, n, d)`.
        alignment, uniformity: the weights w_a and w_u.
        exponent: α, of the distance between the two of a pair.
        sharpness: t, of the Gaussian kernel.
        chunk: rows of the n × n distances in memory at a time; None: all.

    Raises:
        ConfigError: a batch of one row, which has no other rows.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import alignment_uniformity_loss
        >>> x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> float(alignment_uniformity_loss(x, x))  # −t · 2²
        -8.0
    """
    check_weights(alignment=alignment, uniformity=uniformity)
    check_positive(exponent=exponent, sharpness=sharpness)
    x, y = paired(x, y, chunk)
    require_two_rows(x, "uniformity")
    squares = (x - y).square().sum(-1)
    if exponent != 2:
        squares = _power(squares, exponent / 2)
    with without_autocast(x.device):
        uniformities = _uniformity(x, sharpness, chunk) + _uniformity(y, sharpness, chunk)
    return alignment * squares.mean(-1) + uniformity * uniformities / 2


def _power(squares: Tensor, exponent: float) -> Tensor:
    """Return a power of squared distances, 0 where both are equal."""
    powers = squares.clamp_min(SMALLEST_SQUARE) ** exponent
    near = squares * SMALLEST_SQUARE ** (exponent - 1)
    return torch.where(squares < SMALLEST_SQUARE, near, powers)


def _uniformity(rows: Tensor, sharpness: float, chunk: int | None) -> Tensor:
    """Return the logarithm of the mean Gaussian kernel between different rows."""

    def per_row(some: Tensor, every: Tensor, first: int) -> Tensor:
        norms, all_norms = some.square().sum(-1), every.square().sum(-1)
        distances = norms[..., :, None] + all_norms[..., None, :] - 2 * (some @ every.mT)
        return without_partners(-sharpness * distances.clamp_min(0), first).logsumexp(-1)

    n = rows.shape[-2]
    return torch.logsumexp(by_rows(per_row, rows, rows, chunk), -1) - math.log(n * (n - 1))
