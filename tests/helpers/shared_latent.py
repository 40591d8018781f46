"""Pairs with a known number of shared dimensions, and quick measurements of such."""

import json
from pathlib import Path
from typing import Any

import numpy as np

SHARED, WIDTH = 8, 64
QUICK = ["progress=false", "threads=1", "estimators=[mle,twonn]", "max_points=400"]


def shared_latent(n: int, noise: float, elsewhere: float) -> tuple[np.ndarray, np.ndarray]:
    """Return n pairs with k* = 8 shared coordinates, rotated into 64 dimensions.

    Args:
        n: pairs.
        noise: standard deviation along the shared coordinates, drawn for x and y apart.
        elsewhere: standard deviation along the other 56, likewise.
    """
    generator = np.random.default_rng(0)
    rotation, _ = np.linalg.qr(generator.normal(size=(WIDTH, WIDTH)))
    z = generator.normal(size=(n, SHARED))
    scales = np.repeat([noise, elsewhere], [SHARED, WIDTH - SHARED])
    whole = np.pad(z, [(0, 0), (0, WIDTH - SHARED)])
    x, y = ((whole + scales * generator.normal(size=whole.shape)) @ rotation for _ in range(2))
    return x.astype(np.float32), y.astype(np.float32)


def measurement_below(folder: Path) -> dict[str, Any]:
    """Return the content of the only measure.json below a folder."""
    (path,) = folder.glob("outputs/measure/*/measure.json")
    return json.loads(path.read_text())
