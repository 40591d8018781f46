"""Points on manifolds, on which estimators are compared with scikit-dimension, and Gaussian points."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch import Tensor


def benchmark(name: str, d: int, columns: int, n: int) -> np.ndarray:
    """Sample one of scikit-dimension's benchmark manifolds of d dimensions."""
    import skdim  # takes seconds to import, and most tests need only the Gaussian

    return skdim.datasets.BenchmarkManifolds(random_state=0).generate(name=name, n=n, dim=columns, d=d)


def swiss_roll(n: int) -> np.ndarray:
    """Sample a Swiss roll beside a 3-sphere."""
    import skdim

    return skdim.datasets.swissRoll3Sph(n // 2, n - n // 2, a=1, b=2, nturn=1.5, h=4, random_state=0)


def ball(n: int) -> np.ndarray:
    """Sample a ball of 4 dimensions uniformly."""
    import skdim

    return skdim.datasets.hyperBall(n, 4, random_state=0)


def spiral(n: int) -> np.ndarray:
    """Sample a spiral in the plane."""
    angle = np.random.default_rng(0).uniform(1, 10, n)
    return np.stack([angle * np.cos(angle), angle * np.sin(angle)], 1)


def tanh_44(n: int) -> np.ndarray:
    """Sample 10 dimensions in 44 columns, like the representations of the paper's encoders."""
    source = np.random.default_rng(0)
    return np.tanh(source.normal(size=(n, 10)) @ source.normal(size=(10, 44)) / 4)


def gaussian_200(n: int) -> np.ndarray:
    """Sample a Gaussian of 200 dimensions about a mean of 3."""
    return np.random.default_rng(0).normal(size=(n, 200)) + 3


def far_from_origin_30(n: int) -> np.ndarray:
    """Sample a box of 30 dimensions with sides from 1 to 0.01, 100 away from the origin."""
    return 1e2 + np.random.default_rng(0).uniform(size=(n, 30)) * np.geomspace(1, 1e-2, 30)


MANIFOLDS: dict[str, Callable[[int], np.ndarray]] = {
    "sphere": partial(benchmark, "M1_Sphere", 10, 11),
    "affine": partial(benchmark, "M2_Affine_3to5", 3, 5),
    "nonlinear": partial(benchmark, "M4_Nonlinear", 4, 8),
    "helix": partial(benchmark, "M5b_Helix2d", 2, 3),
    "roll": partial(benchmark, "M7_Roll", 2, 3),
    "cube": partial(benchmark, "M9_Affine", 20, 20),
    "faces": partial(benchmark, "M10a_Cubic", 10, 11),
    "ball": ball,
    "swiss_roll": swiss_roll,
    "spiral": spiral,
    "tanh_44": tanh_44,
    "gaussian_200": gaussian_200,
    "far_from_origin_30": far_from_origin_30,
}


def manifold(name: str, n: int) -> np.ndarray:
    """Return n points of the manifold, float64, the same on every call."""
    return MANIFOLDS[name](n)


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    """Return standard normal numbers in float64, the same for the same seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def brute_force(points: Tensor, k: int) -> np.ndarray:
    """Return the k smallest distances of each point, from differences in float64: SciPy forms no products."""
    rows = points.double().numpy()
    distances = cdist(rows, rows)
    np.fill_diagonal(distances, np.inf)
    return np.sort(distances, axis=1)[:, :k]
