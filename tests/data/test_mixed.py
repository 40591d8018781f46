"""Worlds of mixed latents: one world for all replicates, known dimensions, and wrong settings."""

import pytest
import torch

from intrinsic_clip.data import SyntheticMixed
from intrinsic_clip.data.mixed import CURVES

SIZES = {"n_train": 400, "n_append": 10, "n_test": 20}
MIXINGS = ("linear", "rotated", *CURVES)


@pytest.mark.parametrize("mixing", MIXINGS)
def test_views_have_unit_spread_and_the_dimension_of_their_latents(mixing: str) -> None:
    pairs = SyntheticMixed(mixing=mixing, noise=0.0, shared_dim=2, private_x=1, private_y=3, **SIZES).pairs(
        "train"
    )
    assert (pairs.x.shape, pairs.y.shape, pairs.z.shape) == ((400, 40), (400, 30), (400, 2))
    for view, latents in ((pairs.x, 3), (pairs.y, 5)):
        assert float(view.std()) == pytest.approx(1, abs=0.15)
        rank = int(torch.linalg.matrix_rank(view.double(), rtol=1e-5))
        assert rank == latents if mixing in ("linear", "rotated") else rank > latents


def test_replicates_see_one_world_and_rows_of_their_own() -> None:
    """The regression of x on the latent is that of the world, so that it is the same in both replicates."""
    settings = {"mixing": "rotated", "noise": 0.0, "shared_dim": 3, "private_x": 0, "replicates": 2, **SIZES}
    pairs = SyntheticMixed(**settings).pairs("train")
    assert not torch.equal(pairs.x[0], pairs.x[1])
    maps = torch.linalg.lstsq(pairs.z, pairs.x).solution
    torch.testing.assert_close(maps[0], maps[1], rtol=1e-3, atol=1e-3)
    alone = SyntheticMixed(**{**settings, "replicates": [1]}).pairs("train")
    torch.testing.assert_close(alone.x[0], pairs.x[1])
    other = SyntheticMixed(**settings, seed=1).pairs("train")
    assert not torch.allclose(torch.linalg.lstsq(other.z, other.x).solution, maps, atol=0.1)


def test_noise_is_added_and_private_latents_are_independent() -> None:
    quiet, noisy = (
        SyntheticMixed(mixing="tanh", noise=noise, **{**SIZES, "n_train": 4000}).pairs("train")
        for noise in (0, 0.5)
    )
    assert float(noisy.x.var() - quiet.x.var()) == pytest.approx(0.25, abs=0.03)
    unrelated = SyntheticMixed(mixing="linear", shared_dim=0, **{**SIZES, "n_train": 4000}).pairs("train")
    columns = torch.cat([unrelated.x, unrelated.y], 1).T
    assert float(torch.corrcoef(columns)[:40, 40:].abs().max()) < 0.1


def test_too_many_latents_for_a_rotation() -> None:
    with pytest.raises(ValueError, match=r"data\.d_y=30 columns cannot hold 5 shared and 26 private"):
        SyntheticMixed(mixing="rotated", private_y=26)
