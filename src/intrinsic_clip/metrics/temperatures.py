"""Doubt a temperature that looks like its inverse, or like the logarithm of that: the logit scale of CLIP models."""

import math
import warnings

import torch
from torch import Tensor

HIGHEST = 2.0  # CLIP's logit_scale begins at log(1 / 0.07) = 2.66 and ends near log 100 = 4.6, its exponential at 100
LOWEST = 5e-5  # e to the power of −9.9; CLIP's temperature is at least 0.01


def doubted_temperature(tau: Tensor | float, of_module: bool = False) -> str | None:
    """Return one line that says what a temperature looks like, if not like one; otherwise None.

    Args:
        tau: one or more temperatures.
        of_module: whether it may stem from a parameter `logit_scale`, taken as log(1 / τ).

    Example:
        >>> from intrinsic_clip.metrics.temperatures import doubted_temperature
        >>> doubted_temperature(0.07) is None
        True
        >>> print(doubted_temperature(100.0))
        tau = 100 looks like a logit scale: pass τ = 1 / scale (0.01); if it is log(1 / τ), τ = exp(−100)
    """
    values = torch.as_tensor(tau).detach().double()
    highest, lowest = (float(edge) for edge in (values.max(), values.min())) if values.numel() else (1.0, 1.0)
    if highest > HIGHEST:
        return (
            f"tau = {highest:.4g} looks like a logit scale: pass τ = 1 / scale ({1 / highest:.2g}); "
            f"if it is log(1 / τ), τ = exp(−{highest:.4g})"
            + (f" = {math.exp(-highest):.2g}" if highest < 20 else "")
        )
    if of_module and 0 <= lowest < LOWEST:
        return (
            f"tau = {lowest:.2g} is below any that is learned: if a parameter logit_scale holds the scale itself "
            "rather than its logarithm, pass tau=lambda module: 1 / module.logit_scale"
        )
    return None


def warn_of_temperature(tau: Tensor | float) -> None:
    """Warn where a temperature looks like a logit scale."""
    doubt = doubted_temperature(tau)
    if doubt is not None:
        warnings.warn(doubt, stacklevel=3)
