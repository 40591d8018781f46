"""Take tensors that NumPy, and so scikit-learn, refuses: with a gradient, of half precision, on another device."""

from typing import Any

import torch

NUMPYS = (torch.float32, torch.float64)


def without_gradient(values: Any) -> Any:
    """Return a tensor as an array of at least single precision, and anything else as it is."""
    if not isinstance(values, torch.Tensor):
        return values
    tensor = values.detach().cpu()
    if tensor.is_floating_point() and tensor.dtype not in NUMPYS:
        tensor = tensor.float()
    return tensor.numpy()
