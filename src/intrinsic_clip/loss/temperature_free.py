"""InfoNCE without a temperature: the logits are the log odds of the cosine similarity.

    L = ½ (CE over rows + CE over columns) of 2 artanh(S_ij) = log((1 + S_ij) / (1 − S_ij))

Kim, Kim, *Temperature-free loss function for contrastive learning*, arXiv 2501.17683, 2025.
"""

from typing import Annotated, ClassVar

import torch
from annotated_types import Gt, Lt
from pydantic import PositiveInt
from torch import Tensor, nn

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss.arguments import is_number, paired
from intrinsic_clip.loss.precision import without_autocast
from intrinsic_clip.loss.rows import by_rows
from intrinsic_clip.typed_values import checked


class TemperatureFree(nn.Module):
    """InfoNCE of log odds of cosine similarities, with nothing to tune: `temperature_free_loss`.

    Args:
        epsilon: cosines are clamped to ±(1 − ε), beyond which they have no gradient; 1e-6 allows logits of ±14.5. What
            is less than the type resolves counts as that, 6e-8 in float32.
        chunk: rows of the n × n logits in memory at a time; None: all, which is faster.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import TemperatureFree
        >>> x = torch.eye(4)
        >>> round(float(TemperatureFree()(x, x)), 3)
        0.0
    """

    takes_temperature: ClassVar[bool] = False
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine"})

    @checked("objective")
    def __init__(
        self, epsilon: Annotated[float, Gt(0), Lt(1)] = 1e-6, chunk: PositiveInt | None = None
    ) -> None:
        super().__init__()
        self.epsilon, self.chunk = epsilon, chunk

    def forward(self, x: Tensor, y: Tensor, tau: Tensor | None = None) -> Tensor:
        """Return the loss per replicate, `(*R,)`, of unit vectors `(*R, n, d)`."""
        return temperature_free_loss(x, y, self.epsilon, self.chunk)


def temperature_free_loss(x: Tensor, y: Tensor, epsilon: float = 1e-6, chunk: int | None = None) -> Tensor:
    """Return InfoNCE of 2 artanh(S) of paired unit vectors, in nats, `(*R,)`.

    Args:
        x, y: unit vectors, `(*R, n, d)`.
        epsilon: cosines are clamped to ±(1 − ε), or to the largest number below 1 of their type, if that is less.
        chunk: rows of the n × n logits in memory at a time; None: all.

    Raises:
        ConfigError: shapes do not fit, or a setting is out of range.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import temperature_free_loss
        >>> round(float(temperature_free_loss(torch.eye(4), torch.eye(4), epsilon=0.5)), 3)  # log(1 + 3 · ⅓)
        0.693
    """
    if not (is_number(epsilon) and 0 < epsilon < 1):
        raise ConfigError(f"epsilon={epsilon}: must be greater than 0 and less than 1")
    x, y = paired(x, y, chunk)
    limit = 1 - max(
        epsilon, torch.finfo(x.dtype).eps / 2
    )  # that of a smaller ε is 1 in this type, with infinite logits

    def per_row(rows: Tensor, others: Tensor, first: int) -> Tensor:
        logits = 2 * torch.atanh((rows @ others.mT).clamp(-limit, limit))
        return -logits.log_softmax(-1).diagonal(first, -2, -1)

    with without_autocast(x.device):
        return (by_rows(per_row, x, y, chunk) + by_rows(per_row, y, x, chunk)).mean(-1) / 2
