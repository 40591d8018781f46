"""Points on manifolds, for the tests of estimators against scikit-dimension."""

from collections.abc import Callable
from functools import partial

import numpy as np
import skdim
import torch
from torch import Tensor


def benchmark(name: str, d: int, columns: int, n: int) -> np.ndarray:
    return skdim.datasets.BenchmarkManifolds(random_state=0).generate(name=name, n=n, dim=columns, d=d)


def swiss_roll(n: int) -> np.ndarray:
    return skdim.datasets.swissRoll3Sph(n // 2, n - n // 2, a=1, b=2, nturn=1.5, h=4, random_state=0)


def spiral(n: int) -> np.ndarray:
    angle = np.random.default_rng(0).uniform(1, 10, n)
    return np.stack([angle * np.cos(angle), angle * np.sin(angle)], 1)


def tanh_44(n: int) -> np.ndarray:
    """10 dimensions in 44 columns, as the encoders of the paper give."""
    source = np.random.default_rng(0)
    return np.tanh(source.normal(size=(n, 10)) @ source.normal(size=(10, 44)) / 4)


def gaussian_200(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 200)) + 3


def far_from_origin_30(n: int) -> np.ndarray:
    return 1e2 + np.random.default_rng(0).uniform(size=(n, 30)) * np.geomspace(1, 1e-2, 30)


MANIFOLDS: dict[str, Callable[[int], np.ndarray]] = {
    "sphere": partial(benchmark, "M1_Sphere", 10, 11),
    "affine": partial(benchmark, "M2_Affine_3to5", 3, 5),
    "nonlinear": partial(benchmark, "M4_Nonlinear", 4, 8),
    "helix": partial(benchmark, "M5b_Helix2d", 2, 3),
    "roll": partial(benchmark, "M7_Roll", 2, 3),
    "cube": partial(benchmark, "M9_Affine", 20, 20),
    "faces": partial(benchmark, "M10a_Cubic", 10, 11),
    "ball": lambda n: skdim.datasets.hyperBall(n, 4, random_state=0),
    "swiss_roll": swiss_roll,
    "spiral": spiral,
    "tanh_44": tanh_44,
    "gaussian_200": gaussian_200,
    "far_from_origin_30": far_from_origin_30,
}


def manifold(name: str, n: int) -> np.ndarray:
    """n points, the same on every call, float64."""
    return MANIFOLDS[name](n)


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
