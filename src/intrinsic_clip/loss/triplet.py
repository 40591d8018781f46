"""The triplet loss with margin: a pair more similar than its negatives by at least m.

    L = 1/n Σ_i [Σ_{j≠i} max(0, m − S_ii + S_ij) + Σ_{j≠i} max(0, m − S_ii + S_ji)]

With the hardest negative alone the inner sums become maxima: Faghri, Fleet, Kiros, Fidler, *VSE++: improving
visual-semantic embeddings with hard negatives*, BMVC 2018 (which sums over i instead of taking the mean).
"""

from typing import ClassVar

from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from intrinsic_clip.loss.arguments import check_weights, paired
from intrinsic_clip.loss.precision import without_autocast
from intrinsic_clip.loss.rows import by_rows, require_two_rows, without_partners
from intrinsic_clip.typed_values import checked


class Triplet(nn.Module):
    """Triplet loss with margin over all negatives or over the hardest one: `triplet_loss`.

    Raw outputs are refused: a margin means nothing without a scale, and larger outputs alone would meet it.

    Args:
        margin: m, in units of the similarity.
        hardest: count the most similar negative alone.
        chunk: rows of the n × n similarities in memory at a time; None: all, which is faster.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import Triplet
        >>> x = torch.eye(4)
        >>> round(float(Triplet()(x, x)), 3)
        0.0
    """

    takes_temperature: ClassVar[bool] = False
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine", "population"})

    @checked("objective")
    def __init__(
        self, margin: NonNegativeFloat = 0.2, hardest: bool = False, chunk: PositiveInt | None = None
    ) -> None:
        super().__init__()
        self.margin, self.hardest, self.chunk = margin, hardest, chunk

    def forward(self, x: Tensor, y: Tensor, tau: Tensor | None = None) -> Tensor:
        """Return the loss per replicate, `(*R,)`, of representations `(*R, n, d)`."""
        return triplet_loss(x, y, self.margin, self.hardest, self.chunk)


def triplet_loss(
    x: Tensor, y: Tensor, margin: float = 0.2, hardest: bool = False, chunk: int | None = None
) -> Tensor:
    """Return the triplet loss of paired representations, both ways, `(*R,)`.

    Args:
        x, y: normalised representations, `(*R, n, d)`.
        margin: m, in units of the similarity.
        hardest: count the most similar negative alone.
        chunk: rows of the n × n similarities in memory at a time; None: all.

    Raises:
        ConfigError: a batch of one row, which has no negatives.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import triplet_loss
        >>> x = torch.eye(4)
        >>> losses = [triplet_loss(x, x, margin=1.5, hardest=hardest) for hardest in (False, True)]
        >>> [float(loss) for loss in losses]  # three or one negative(s), two ways, 0.5 short of the margin
        [3.0, 1.0]
    """
    check_weights(margin=margin)
    x, y = paired(x, y, chunk)
    require_two_rows(x, "the triplet loss")

    def per_row(rows: Tensor, others: Tensor, first: int) -> Tensor:
        similarities = rows @ others.mT
        positives = similarities.diagonal(first, -2, -1)[..., None]
        short = (margin - positives + without_partners(similarities, first)).clamp_min(0)
        return short.amax(-1) if hardest else short.sum(-1)

    with without_autocast(x.device):
        return (by_rows(per_row, x, y, chunk) + by_rows(per_row, y, x, chunk)).mean(-1)
