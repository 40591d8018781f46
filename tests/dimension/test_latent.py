"""Test the input directions that carry a known latent."""

import math

import pytest
import torch

from helpers.manifolds import gaussian
from intrinsic_clip.dimension import latent_directions


def test_latent_directions() -> None:
    x = gaussian(2, 300, 8) @ gaussian(8, 8, seed=2)
    z = x @ gaussian(2, 8, 3, seed=1)
    basis = latent_directions(x, z)
    torch.testing.assert_close(basis.mT @ basis, torch.eye(3, dtype=torch.float64).expand(2, 3, 3))
    target = torch.linalg.qr(gaussian(2, 8, 3, seed=1)).Q
    torch.testing.assert_close((basis.mT @ target).square().sum((-1, -2)), torch.full((2,), 3.0).double())
    torch.testing.assert_close(latent_directions(x[1], z[1]), basis[1])


def test_latent_directions_of_a_nonlinear_latent_of_gaussian_inputs() -> None:
    x = gaussian(20_000, 8)
    basis = latent_directions(x, x[:, :3].clamp_min(0))
    assert basis[:3].square().sum() / 3 > 0.99


def test_wrong_arguments() -> None:
    x = torch.ones(6, 4)
    with pytest.raises(ValueError, match="x and z must be"):
        latent_directions(x, x[:5])
    with pytest.raises(ValueError, match="finite"):
        latent_directions(x * math.nan, x)
    with pytest.raises(ValueError, match="linearly independent"):
        latent_directions(x, x)
