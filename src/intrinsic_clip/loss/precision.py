"""Float32 for similarities, logits and τ under mixed precision."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Run matrix products in the precision of their factors, even under autocast."""
    has_autocast = torch.amp.is_autocast_available(
        device.type
    )  # the meta device, for estimates of memory, has none
    return torch.autocast(device.type, enabled=False) if has_autocast else nullcontext()


def widened(tensor: Tensor) -> Tensor:
    """Convert to float32; float64 stays float64."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def in_widest_type(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Convert to the widest type among tensors, or to float32 if that is wider; matrix products take no two types."""
    widest = torch.float32
    for tensor in tensors:
        widest = torch.promote_types(widest, tensor.dtype)
    return tuple(tensor.to(widest) for tensor in tensors)
