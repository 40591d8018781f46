"""Keep similarities, logits and τ in float32 under mixed precision."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Matrix products in the precision of their factors."""
    known = torch.amp.is_autocast_available(device.type)  # not on meta, where memory is estimated
    return torch.autocast(device.type, enabled=False) if known else nullcontext()


def widened(tensor: Tensor) -> Tensor:
    """The same in float32, or in float64 if it is that."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
