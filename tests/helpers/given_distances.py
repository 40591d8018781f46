"""Make neighbours of distances alone, for estimators that look at nothing else."""

import torch
from torch import Tensor

from intrinsic_clip.dimension import Neighbours


def given_distances(distances: Tensor) -> Neighbours:
    """Return neighbours at the given distances `(R, n, k)`, of points without positions."""
    replicates, n, k = distances.shape
    return Neighbours(
        torch.zeros(replicates, n, 9),
        distances,
        torch.zeros(replicates, n, k, dtype=torch.int64),
        torch.ones(replicates, n, dtype=torch.bool),
        n=n,
        k=k,
        dims=torch.full((replicates,), 9),
    )
