"""The temperature τ: learned, as in the paper, or fixed."""

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from intrinsic_clip.metrics.temperatures import warn_of_temperature


class LearnedTemperature(nn.Module):
    """Learned temperature τ = exp(scale · s) + minimum, with a learned scalar s per replicate.

    The paper has scale 4 or 2 and minimum 1e-4.

    Args:
        scale: c, which gives τ larger steps than Adam's; 4 for synthetic data, 2 for real data.
        minimum: τ_min, the lower limit of the temperature.
        initial: s₀, the start of s; 0 starts at τ = 1 + minimum.
        replicates: the shape R.

    Example:
        >>> from intrinsic_clip.loss import LearnedTemperature
        >>> temperature = LearnedTemperature(replicates=(3,))
        >>> [round(tau, 4) for tau in temperature().tolist()]
        [1.0001, 1.0001, 1.0001]
    """

    def __init__(
        self,
        scale: PositiveFloat = 4.0,
        minimum: NonNegativeFloat = 1e-4,
        initial: float = 0.0,
        replicates: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.scale, self.minimum = scale, minimum
        self.s = nn.Parameter(torch.full(replicates, float(initial)))

    def forward(self) -> Tensor:
        """Return the temperature, `(*R,)`."""
        return torch.exp(self.scale * self.s) + self.minimum


class FixedTemperature(nn.Module):
    """Fixed temperature τ, for comparison with `LearnedTemperature`.

    Example:
        >>> from intrinsic_clip.loss import FixedTemperature
        >>> tau = FixedTemperature(0.5, replicates=(2,))()
        >>> tau.tolist(), tau.requires_grad
        ([0.5, 0.5], False)
    """

    value: Tensor

    def __init__(self, tau: PositiveFloat = 0.1, replicates: tuple[int, ...] = ()) -> None:
        super().__init__()
        warn_of_temperature(tau)
        self.register_buffer("value", torch.full(replicates, float(tau)))

    def forward(self) -> Tensor:
        """Return the temperature, `(*R,)`."""
        return self.value
