"""Take tensors that NumPy, and so scikit-learn, refuses: with a gradient, of half precision, on another device."""

from typing import Any

import numpy as np
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


def copied(array: np.ndarray) -> torch.Tensor:
    """Return an array as a tensor with memory of its own; PyTorch reads no array backwards, such as `X[::-1]`."""
    return torch.tensor(np.ascontiguousarray(array))
