"""CLOOB: InfoLOOB of patterns that a modern Hopfield network retrieves.

    U_x(q) = normalise(Σ_j softmax_j(β ⟨q, x_j⟩) x_j),  U_y likewise
    L = τ (LOOB(U_x(x), U_x(y)) + LOOB(U_y(y), U_y(x))),   LOOB(a, b) = mean_i [log Σ_{j≠i} exp(a_i·b_j/τ) − a_i·b_i/τ]

Fürst et al., *CLOOB: modern Hopfield networks with InfoLOOB outperform CLIP*, NeurIPS 2022, in the form of the authors'
code: 1/τ = 30 and β = 8 are the loss's own, fixed unless learned, and the loss is multiplied by τ.
"""

import math
from typing import ClassVar

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from intrinsic_clip.loss.arguments import paired, per_replicate, temperature
from intrinsic_clip.loss.decoupled import leave_one_out
from intrinsic_clip.loss.precision import in_widest_type, without_autocast
from intrinsic_clip.loss.rows import by_rows, require_two_rows
from intrinsic_clip.loss.similarity import SMALLEST_NORM
from intrinsic_clip.typed_values import checked


class CLOOB(nn.Module):
    """InfoLOOB with Hopfield retrieval, of cosine similarities: `cloob_loss` with its own inverse temperatures.

    Args:
        inverse_temperature: 1/τ of the loss.
        beta: β of the retrieval; large values retrieve the single best pattern, small ones the average.
        learn_inverse_temperature, learn_beta: train their logarithms; the authors fix both.
        chunk: rows of the n × n similarities in memory at a time; None: all, which is faster.
        replicates: the shape R.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import CLOOB
        >>> x = torch.eye(4)
        >>> round(float(CLOOB()(x, x)), 3)
        -1.925
    """

    takes_temperature: ClassVar[bool] = False
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine"})

    @checked("objective")
    def __init__(
        self,
        inverse_temperature: PositiveFloat = 30.0,
        beta: PositiveFloat = 8.0,
        learn_inverse_temperature: bool = False,
        learn_beta: bool = False,
        chunk: PositiveInt | None = None,
        replicates: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.chunk = chunk
        log_inverse = torch.full(replicates, math.log(inverse_temperature))
        log_beta = torch.full(replicates, math.log(beta))
        self.log_inverse_temperature = nn.Parameter(log_inverse, requires_grad=learn_inverse_temperature)
        self.log_beta = nn.Parameter(log_beta, requires_grad=learn_beta)

    def forward(self, x: Tensor, y: Tensor, tau: Tensor | None = None) -> Tensor:
        """Return the loss per replicate, `(*R,)`, of unit vectors `(*R, n, d)`; τ is its own."""
        return cloob_loss(x, y, (-self.log_inverse_temperature).exp(), self.log_beta.exp(), self.chunk)


def cloob_loss(
    x: Tensor, y: Tensor, tau: Tensor | float, beta: Tensor | float, chunk: int | None = None
) -> Tensor:
    """Return the CLOOB loss of paired unit vectors.

    Args:
        x, y: unit vectors, `(*R, n, d)`.
        tau: the temperature of InfoLOOB, a number or `(*R,)`.
        beta: the inverse temperature of the retrieval, a number or `(*R,)`.
        chunk: rows of the n × n similarities in memory at a time; None: all, which is faster, and has
            second derivatives; chunks refuse them.

    Returns:
        The loss per replicate, `(*R,)`, in units of the similarity, since it is multiplied by τ.

    Raises:
        ConfigError: a batch of one row, which has no negatives.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import cloob_loss
        >>> x = torch.eye(4)
        >>> round(float(cloob_loss(x, x, torch.tensor(1 / 30), torch.tensor(8.0))), 3)
        -1.925
    """
    x, y = paired(x, y, chunk)
    require_two_rows(x, "CLOOB")
    beta = per_replicate("β", beta, x, positive=True)
    x, y, tau, beta = in_widest_type(x, y, temperature(tau, x), beta)
    with without_autocast(x.device):
        x_by_x, y_by_x = (_retrieved(states, x, beta, chunk) for states in (x, y))
        y_by_y, x_by_y = (_retrieved(states, y, beta, chunk) for states in (y, x))
        return tau * (leave_one_out(x_by_x, y_by_x, tau, chunk) + leave_one_out(y_by_y, x_by_y, tau, chunk))


def _retrieved(states: Tensor, stored: Tensor, beta: Tensor, chunk: int | None) -> Tensor:
    """Return the pattern that each state retrieves from those stored, as unit vectors."""

    def retrieve(rows: Tensor, stored: Tensor, first: int) -> Tensor:
        weights = (beta[..., None, None] * (rows @ stored.mT)).softmax(-1)
        return nn.functional.normalize(weights @ stored, dim=-1, eps=SMALLEST_NORM)

    return by_rows(retrieve, states, stored, chunk, dim=-2)
