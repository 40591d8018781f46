"""Lift few coordinates to many columns by a fixed nonlinear map, so that the dimension is known but not visible."""

import numpy as np
import torch
from torch import Tensor

MAP_SEED = 0  # the map is part of the data set: no setting changes it


def lifted(coordinates: np.ndarray, columns: int, frequency: float) -> Tensor:
    """Return random Fourier features `(n, columns)` float32 of coordinates `(n, k)`: cos of random projections.

    With more columns than 2 k the map is one to one for almost every draw, so k bounds what the columns can share.

    Args:
        coordinates: of about unit size.
        columns: number of columns; 0: the coordinates themselves.
        frequency: standard deviation of the projections, in radians per unit of a coordinate.
    """
    if columns == 0:
        return torch.from_numpy(coordinates.astype(np.float32))
    random = np.random.RandomState(MAP_SEED)  # unlike a Generator's, its stream is the same in every version
    directions = frequency * random.randn(coordinates.shape[1], columns)
    phases = random.uniform(0, 2 * np.pi, columns)
    return torch.from_numpy(np.cos(coordinates @ directions + phases).astype(np.float32))
