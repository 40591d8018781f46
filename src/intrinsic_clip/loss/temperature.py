"""The temperature τ: learned, as in the paper, learned within limits or per direction, scheduled, or fixed."""

import math
from typing import Annotated, Any, Literal

import torch
from annotated_types import Gt
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from intrinsic_clip.metrics.temperatures import warn_of_temperature
from intrinsic_clip.typed_values import checked


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

    @checked("objective.temperature")
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

    @torch.no_grad()
    def slope(self) -> Tensor:
        """Return dτ/ds, `(*R,)`; not from τ, which next to a larger minimum has few digits of it."""
        return self.scale * torch.exp(self.scale * self.s)


class FixedTemperature(nn.Module):
    """Fixed temperature τ, for comparison with `LearnedTemperature`.

    Example:
        >>> from intrinsic_clip.loss import FixedTemperature
        >>> tau = FixedTemperature(0.5, replicates=(2,))()
        >>> tau.tolist(), tau.requires_grad
        ([0.5, 0.5], False)
    """

    value: Tensor

    @checked("objective.temperature")
    def __init__(self, tau: PositiveFloat = 0.1, replicates: tuple[int, ...] = ()) -> None:
        super().__init__()
        warn_of_temperature(tau)
        self.register_buffer("value", torch.full(replicates, float(tau)))

    def forward(self) -> Tensor:
        """Return the temperature, `(*R,)`."""
        return self.value


class ClampedTemperature(nn.Module):
    """Learned temperature τ = exp(−t) that is held within limits, as CLIP's is.

    Radford et al., *Learning transferable visual models from natural language supervision*, ICML 2021, section 2.5:
    t starts at log(1 / 0.07), and after each step it is cut to at most log 100, so that τ ≥ 0.01.

    Args:
        initial: τ at the start.
        minimum: lower limit of τ.
        maximum: upper limit of τ; None: none.
        replicates: the shape R.

    Raises:
        ValueError: `initial` lies outside the limits.

    Example:
        >>> from intrinsic_clip.loss import ClampedTemperature
        >>> round(ClampedTemperature()().item(), 3)
        0.07
    """

    @checked("objective.temperature")
    def __init__(
        self,
        initial: PositiveFloat = 0.07,
        minimum: PositiveFloat = 0.01,
        maximum: PositiveFloat | None = None,
        replicates: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        if not minimum <= initial <= (math.inf if maximum is None else maximum):
            limits = f"minimum={minimum:g} and maximum={'null' if maximum is None else f'{maximum:g}'}"
            raise ValueError(f"objective.temperature.initial={initial:g}: must be between {limits}")
        self.minimum, self.maximum = minimum, maximum
        self.t = nn.Parameter(torch.full(replicates, -math.log(initial)))

    def forward(self) -> Tensor:
        """Return the temperature within its limits, `(*R,)`; in training mode t itself is cut to them first."""
        lowest = -math.inf if self.maximum is None else -math.log(self.maximum)
        limits = lowest, -math.log(self.minimum)
        if not self.training:  # behind the last step, which may have led t beyond them
            return torch.exp(-self.t.clamp(*limits))
        with torch.no_grad():
            self.t.clamp_(*limits)
        return torch.exp(-self.t)


class TemperaturePerDirection(LearnedTemperature):
    """Learned temperatures of the two directions of InfoNCE, each as `LearnedTemperature` has it.

    Args:
        replicates: the shape R.
        settings: scale, minimum and initial, as of `LearnedTemperature`.

    Example:
        >>> from intrinsic_clip.loss import TemperaturePerDirection
        >>> TemperaturePerDirection(replicates=(3,))().shape
        torch.Size([2, 3])
    """

    by_direction = True

    @checked("objective.temperature")
    def __init__(self, replicates: tuple[int, ...] = (), **settings: Any) -> None:
        super().__init__(**settings, replicates=(*replicates, 2))

    def forward(self) -> Tensor:
        """Return the temperatures of x → y and of y → x, `(2, *R)`."""
        return super().forward().movedim(-1, 0)


class ScheduledTemperature(nn.Module):
    """Temperature τ that moves from `start` to `end` along training, and back where there are more half cycles.

    Kukleva et al., *Temperature schedules for self-supervised contrastive methods on long-tail data*, ICLR 2023,
    section 3.4: a cosine between two temperatures.

    Args:
        start: τ at the first step.
        end: τ after half a cycle.
        shape: `cosine`, or `geometric`, which multiplies τ by one factor per step.
        half_cycles: how often τ goes from one to the other; 1: it ends at `end`.
        replicates: the shape R.

    Example:
        >>> from intrinsic_clip.loss import ScheduledTemperature
        >>> temperature = ScheduledTemperature(start=1.0, end=0.01, shape="geometric")
        >>> temperature.move_to(0.5)
        >>> round(float(temperature()), 3)
        0.1
    """

    value: Tensor

    @checked("objective.temperature")
    def __init__(
        self,
        start: PositiveFloat = 1.0,
        end: PositiveFloat = 0.05,
        shape: Literal["cosine", "geometric"] = "cosine",
        half_cycles: Annotated[int, Gt(0)] = 1,
        replicates: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        warn_of_temperature(min(start, end))
        self.start, self.end, self.shape, self.half_cycles = start, end, shape, half_cycles
        self.register_buffer("value", torch.full(replicates, float(start)))

    def move_to(self, share: float) -> None:
        """Set τ to its value when this share of the training's steps has been taken."""
        within = share * self.half_cycles % 2
        way = within if within <= 1 else 2 - within
        if self.shape == "geometric":
            tau = self.start * (self.end / self.start) ** way
        else:
            tau = self.end + (self.start - self.end) * (1 + math.cos(math.pi * way)) / 2
        self.value.fill_(tau)

    def forward(self) -> Tensor:
        """Return the temperature, `(*R,)`."""
        return self.value
