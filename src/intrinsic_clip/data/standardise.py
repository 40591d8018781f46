"""Features of a scale that small networks train on."""

from torch import Tensor


def standardise(columns: Tensor, train: Tensor) -> Tensor:
    """Features `(n, d)` without their mean, divided by one number: unit variance on average over the rows `train`."""
    centred = columns - columns[train].mean(0)
    scale = centred[train].square().mean().sqrt()
    return centred / scale if scale > 0 else centred
