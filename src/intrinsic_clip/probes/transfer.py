"""Bring numbers from a device in one go: each transfer waits until the device has done all it was asked for."""

from collections.abc import Mapping

import torch
from torch import Tensor


def on_cpu(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return numbers, of any shapes and of types that float64 holds exactly, on the CPU."""
    if all(value.device.type == "cpu" for value in values.values()):
        return dict(values)
    device = next(value.device for value in values.values() if value.device.type != "cpu")
    together = torch.cat(
        [value.detach().to(device, torch.float64).flatten() for value in values.values()]
    ).cpu()
    parts = together.split([value.numel() for value in values.values()])
    return {
        name: part.reshape(value.shape).to(value.dtype)
        for (name, value), part in zip(values.items(), parts, strict=True)
    }
