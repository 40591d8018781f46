"""Products of float32 propose neighbours, and are believed only where their rounding cannot matter."""

import numpy as np
import torch

from helpers.manifolds import brute_force, gaussian
from intrinsic_clip.dimension import exact_search


def test_products_are_distrusted_where_they_cannot_tell() -> None:
    points = 1e-3 * gaussian(300, 6) + 1e3 * gaussian(3, 6, seed=1).repeat(100, 1)
    rows = torch.arange(300)
    distances, _, certain = exact_search._ByProducts(points, 5, torch.float32, 2**28)(rows)
    wrong = ~np.isclose(distances.numpy(), brute_force(points, 5), rtol=1e-9).all(1)
    assert wrong.any(), "the case is too easy to test the certificate"
    assert not certain[torch.from_numpy(wrong)].any()
