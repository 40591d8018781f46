"""InfoNCE with a temperature that the encoder gives for each sample, as a measure of its uncertainty.

    L = ½ (mean_i CE_i of S_ij / τ(x_i) + mean_j CE_j of S_ij / τ(y_j)),   S = cosine similarity

length      1/τ = ‖x‖ / t, as the concentration in losses of von Mises–Fisher distributions: Scott, Gallagher, Mozer,
            *von Mises–Fisher loss*, ICCV 2021
coordinate  1/τ = sigmoid(u) / t with the last output coordinate u, the others being the representation: Zhang, Wu,
            Bayrooti, Goodman, *Temperature as uncertainty in contrastive learning* (TaU), 2021. The denominator holds
            the positive, as in InfoNCE; the authors' code leaves it out

With the length, the cosine similarity measures the representation alone, and it has all d dimensions; the coordinate
takes one of them and stays part of what is measured.
"""

from typing import ClassVar, Literal

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss.arguments import check_positive, paired
from intrinsic_clip.loss.precision import without_autocast
from intrinsic_clip.loss.rows import by_rows
from intrinsic_clip.loss.similarity import SMALLEST_NORM
from intrinsic_clip.typed_values import checked

Source = Literal["length", "coordinate"]
SCALES: dict[Source, float] = {"length": 1.0, "coordinate": 0.07}


class Uncertainty(nn.Module):
    """InfoNCE of cosine similarities with τ from each anchor's raw output: `uncertainty_loss`.

    It takes raw outputs; `objective/similarity` affects only the measurements.

    Args:
        source: where a sample's τ comes from, the `length` of its output or its last `coordinate`.
        scale: t, τ at length 1, or the smallest τ with the coordinate; None: 1 for the length, 0.07 (published) for the
            coordinate.
        chunk: rows of the n × n logits in memory at a time; None: all, which is faster.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import Uncertainty
        >>> x = torch.eye(4)
        >>> round(float(Uncertainty()(x, x)), 3)
        0.744
    """

    takes_temperature: ClassVar[bool] = False
    takes_raw: ClassVar[bool] = True
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine", "population", "none"})

    @checked("objective")
    def __init__(
        self, source: Source = "length", scale: PositiveFloat | None = None, chunk: PositiveInt | None = None
    ) -> None:
        super().__init__()
        self.source: Source = source
        self.scale, self.chunk = scale, chunk

    @property
    def least_output_dim(self) -> tuple[int, str]:
        """Return how many output dimensions it takes at least, and the setting that wants them."""
        return (2 if self.reads_last_column else 1), f"objective.source={self.source}"

    @property
    def reads_last_column(self) -> bool:
        """Return whether the last output has a meaning of its own, which padding with zeros would take from it."""
        return self.source == "coordinate"

    def forward(self, x: Tensor, y: Tensor, tau: Tensor | None = None) -> Tensor:
        """Return the loss per replicate, `(*R,)`, of raw outputs `(*R, n, d)`."""
        return uncertainty_loss(x, y, self.source, self.scale, self.chunk)


def uncertainty_loss(
    x: Tensor, y: Tensor, source: Source = "length", scale: float | None = None, chunk: int | None = None
) -> Tensor:
    """Return InfoNCE with a τ per sample of paired raw outputs, in nats, `(*R,)`.

    Args:
        x, y: raw outputs, `(*R, n, d)`, of lengths within the range of `CosineSimilarity`, 1e-12 to 1e19.
        source: where a sample's τ comes from, the `length` of its output or its last `coordinate`.
        scale: t, by which all inverse temperatures are divided; None: 1 for the length, 0.07 for the coordinate.
        chunk: rows of the n × n logits in memory at a time; None: all.

    Raises:
        ConfigError: outputs of one coordinate, which gives the temperature and leaves nothing to compare.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import uncertainty_loss
        >>> x = torch.eye(4)
        >>> round(float(uncertainty_loss(x, x)), 3)  # InfoNCE at τ = 1
        0.744
    """
    if source not in SCALES:
        raise ConfigError(f"source={source!r}: must be {' or '.join(map(repr, SCALES))}")
    scale = SCALES[source] if scale is None else scale
    check_positive(scale=scale)
    x, y = paired(x, y, chunk)
    if source == "coordinate" and x.shape[-1] < 2:
        raise ConfigError(
            "encoder.output_dim=1: must be at least 2 where the last coordinate is the temperature"
        )
    (x, x_inverse), (y, y_inverse) = _split(x, source, scale), _split(y, source, scale)

    def per_row(anchors: Tensor, others: Tensor, first: int) -> Tensor:
        return -(anchors @ others.mT).log_softmax(-1).diagonal(first, -2, -1)

    with without_autocast(x.device):
        x_to_y = by_rows(per_row, x * x_inverse, y, chunk)
        y_to_x = by_rows(per_row, y * y_inverse, x, chunk)
        return (x_to_y + y_to_x).mean(-1) / 2


def _split(rows: Tensor, source: Source, scale: float) -> tuple[Tensor, Tensor]:
    """Return unit vectors and inverse temperatures, `(*R, n, 1)`, of raw outputs."""
    if source == "coordinate":
        rows, inverse = rows[..., :-1], rows[..., -1:].sigmoid()
    else:
        inverse = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return nn.functional.normalize(rows, dim=-1, eps=SMALLEST_NORM), inverse / scale
