"""Fixtures of the tests of the verb `measure`."""

import numpy as np
import pytest

from helpers.shared_latent import shared_latent


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Write x.npy and y.npy with 600 pairs."""
    x, y = shared_latent(600, 0.1, 0.1)
    np.save("x.npy", x)
    np.save("y.npy", y)
    return x, y
