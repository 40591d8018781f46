"""InfoNCE with a temperature of its own for each anchor, the one that a robust loss asks for.

    L = ½ (mean_i min_τ F_i(τ) + the same over columns),
    F_i(τ) = τ log mean_{j≠i} exp((S_ij − S_ii) / τ) + ρ τ,   τ_min ≤ τ ≤ τ_max

Qiu, Hu, Yuan, Zhou, Zhang, Yang, *Not all semantics are created equal: contrastive self-supervised learning with
automatic temperature individualization* (iSogCLR), ICML 2023. F_i is the dual of a worst case over weights of the
negatives that stay within ρ nats of uniform ones: an anchor with many similar negatives gets a larger τ. The authors
keep τ and moving averages for each sample of the data set; here the minimum is solved within the batch, so that a loss
depends on its batch alone. At the minimum the gradient is that with τ taken as a constant; second derivatives are not,
and lack what τ_i contributes by its own change.
"""

import math
from typing import ClassVar

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss.arguments import check_positive, paired
from intrinsic_clip.loss.precision import without_autocast
from intrinsic_clip.loss.rows import by_rows, partners, require_two_rows
from intrinsic_clip.typed_values import checked

STEPS = 9  # of Newton's method in log τ, which bisects where Newton would leave the bracket


class IndividualTemperature(nn.Module):
    """Robust InfoNCE with τ_i solved for each anchor in the batch: `individual_loss`.

    Args:
        rho: ρ, how far in nats the weights of the negatives may be from uniform. With ρ ≥ log(n − 1) every τ_i is
            `minimum`, so the 8 of the authors' bimodal code, over the whole data set, are too much for a batch.
        minimum, maximum: the limits of τ_i; the authors have 0.005 and 0.05 for images and captions.
        chunk: rows of the n × n similarities in memory at a time; None: all, which is faster.

    Raises:
        ConfigError: the minimum is above the maximum.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import IndividualTemperature
        >>> x = torch.eye(4)
        >>> round(float(IndividualTemperature()(x, x)), 3)
        -0.99
    """

    takes_temperature: ClassVar[bool] = False
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine", "population"})

    @checked("objective")
    def __init__(
        self,
        rho: PositiveFloat = 2.0,
        minimum: PositiveFloat = 0.005,
        maximum: PositiveFloat = 1.0,
        chunk: PositiveInt | None = None,
    ) -> None:
        super().__init__()
        if minimum > maximum:
            raise ConfigError(f"objective.minimum={minimum}: must be at most objective.maximum={maximum}")
        self.rho, self.minimum, self.maximum, self.chunk = rho, minimum, maximum, chunk

    def forward(self, x: Tensor, y: Tensor, tau: Tensor | None = None) -> Tensor:
        """Return the loss per replicate, `(*R,)`, of representations `(*R, n, d)`."""
        return individual_loss(x, y, self.rho, self.minimum, self.maximum, self.chunk)


def individual_loss(
    x: Tensor,
    y: Tensor,
    rho: float = 2.0,
    minimum: float = 0.005,
    maximum: float = 1.0,
    chunk: int | None = None,
) -> Tensor:
    """Return the robust loss of paired representations, `(*R,)`, in units of the similarity.

    Its gradient is exact. Second derivatives (`create_graph=True`) are not: they take every τ_i as a constant.

    Args:
        x, y: normalised representations, `(*R, n, d)`.
        rho: ρ, how far in nats the weights of the negatives may be from uniform.
        minimum, maximum: the limits of τ_i.
        chunk: rows of the n × n similarities in memory at a time; None: all.

    Raises:
        ConfigError: a batch of one row, which has no negatives, or a minimum above the maximum.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import individual_loss
        >>> x = torch.eye(4)
        >>> round(float(individual_loss(x, x, rho=1.0, minimum=0.01)), 3)  # equal negatives: −1 + ρ · minimum
        -0.99
    """
    check_positive(rho=rho, minimum=minimum, maximum=maximum)
    if minimum > maximum:
        raise ConfigError(f"minimum={minimum}: must be at most maximum={maximum}")
    x, y = paired(x, y, chunk)
    require_two_rows(x, "a temperature per sample")

    def per_row(rows: Tensor, others: Tensor, first: int) -> Tensor:
        similarities = rows @ others.mT
        leads = similarities - similarities.diagonal(first, -2, -1)[..., None]
        own = partners(leads, first)
        with torch.no_grad():
            tau = solved_temperatures(leads.masked_fill(own, -torch.inf), rho, minimum, maximum)
        logits = (leads / tau[..., None]).masked_fill(own, -torch.inf)
        return tau * (logits.logsumexp(-1) - math.log(others.shape[-2] - 1) + rho)

    with without_autocast(x.device):
        return (by_rows(per_row, x, y, chunk) + by_rows(per_row, y, x, chunk)).mean(-1) / 2


def solved_temperatures(leads: Tensor, rho: float, minimum: float, maximum: float) -> Tensor:
    """Return the τ of each row that minimises F, `(*R, rows)`, by Newton's method within a shrinking bracket.

    F is convex; its slope is ρ less the divergence of the softmax weights from uniform ones, which falls as τ rises.

    Args:
        leads: S_ij − S_ii, `(*R, rows, n)`, −∞ where a column does not count.
        rho: ρ, how far in nats the weights may be from uniform.
        minimum, maximum: the limits of τ.
    """
    leads = leads - leads.amax(-1, keepdim=True)
    counted = leads.isfinite()
    number = counted.sum(-1).to(leads.dtype)
    finite = leads.masked_fill(~counted, 0)
    low = torch.full_like(leads[..., 0], math.log(minimum))
    high = torch.full_like(low, math.log(maximum))
    at_minimum = _divergence(leads, finite, number, low)[0] <= rho
    at_maximum = _divergence(leads, finite, number, high)[0] >= rho
    # with normal leads the divergence is their variance / (2 τ²)
    spread = finite.square().sum(-1) / number - (finite.sum(-1) / number).square()
    middle = ((spread / (2 * rho)).log() / 2).clamp(math.log(minimum), math.log(maximum))
    for _ in range(STEPS):
        divergence, fall = _divergence(leads, finite, number, middle)
        excess = divergence - rho
        low, high = torch.where(excess > 0, middle, low), torch.where(excess > 0, high, middle)
        newton = middle + excess / fall
        inside = (newton >= low) & (newton <= high)
        middle = torch.where(inside, newton, (low + high) / 2)
    tau = torch.where(at_maximum, maximum, middle.exp())
    return torch.where(at_minimum, minimum, tau)


def _divergence(leads: Tensor, finite: Tensor, number: Tensor, log_tau: Tensor) -> tuple[Tensor, Tensor]:
    """Return the divergence of softmax weights from uniform ones in nats, and its fall per unit of log τ.

    Args:
        leads: at most 0, `(*R, rows, n)`, −∞ where a column does not count.
        finite: the same with 0 there. number: how many columns count, `(*R, rows)`.
        log_tau: log τ of each row.
    """
    inverse = (-log_tau).exp()[..., None]
    weights = (leads * inverse).exp_()
    total = weights.sum(-1)
    weights *= finite
    mean = weights.sum(-1) / total * inverse[..., 0]
    weights *= finite
    square = weights.sum(-1) / total * inverse[..., 0].square()
    return mean - total.log() + number.log(), square - mean.square()
