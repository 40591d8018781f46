"""Three modalities hold the latents that they share, all replicates see one world, and wrong sizes are refused."""

import pytest
import torch

from intrinsic_clip.data import Batches, SyntheticThree

SIZES = {"n_train": 600, "n_append": 10, "n_test": 20}
WORLD = {"shared_xyz": 1, "shared_xy": 2, "shared_xz": 3, "shared_yz": 0, "private_x": 1, "private_y": 2}
HELD = {"x": 7, "y": 5, "z": 9}


def three(**settings) -> SyntheticThree:
    return SyntheticThree(**{"noise": 0.0, "private_z": 5, **WORLD, **SIZES, **settings})


def unexplained(latent: torch.Tensor, view: torch.Tensor) -> float:
    """Return the share of a latent's variance that no linear function of a view explains."""
    fitted = view @ torch.linalg.lstsq(view, latent, driver="gelsd").solution
    return float((latent - fitted).square().mean() / latent.square().mean())


def test_each_view_has_the_rank_of_its_latents_and_holds_those_it_shares() -> None:
    pairs = three(d_x=12, d_z=15).pairs("train")
    views = pairs.modalities()
    assert {name: view.shape for name, view in views.items()} == {
        "x": (600, 12), "y": (600, 20), "z": (600, 15),
    }  # fmt: skip
    assert {block: rows.shape[-1] for block, rows in pairs.latents.items()} == {"xyz": 1, "xy": 2, "xz": 3}
    for name, view in views.items():
        assert int(torch.linalg.matrix_rank(view.double(), rtol=1e-5)) == HELD[name]
        assert float(view.std()) == pytest.approx(1, abs=0.15)
        for block, latent in pairs.latents.items():
            left = unexplained(latent, view)
            assert left < 1e-4 if name in block else left > 0.9, (name, block)


@pytest.mark.parametrize("mixing", ["tanh", "rotated"])
def test_replicates_are_those_alone_and_see_one_world(mixing: str) -> None:
    both = three(mixing=mixing, replicates=2, noise=0.1).pairs("test")
    alone = three(mixing=mixing, replicates=[1], noise=0.1).pairs("test")
    for one, other in zip(both.modalities().values(), alone.modalities().values(), strict=True):
        assert torch.equal(one[1], other[0])
        assert not torch.equal(one[0], one[1])
    plain = three(mixing=mixing, noise=0.1).pairs("test")
    assert torch.equal(plain.further["z"], both.further["z"][0])
    if mixing == "rotated":
        rows = three(mixing=mixing, replicates=2, shared_yz=1, private_x=0, private_y=0, private_z=0).pairs(
            "train"
        )
        held = torch.cat([rows.latents[block] for block in ("xyz", "xz", "yz")], -1)
        maps = torch.linalg.lstsq(held, rows.further["z"]).solution
        torch.testing.assert_close(maps[0], maps[1], rtol=1e-3, atol=1e-3)


def test_batches_hold_all_modalities_in_step() -> None:
    pairs = three().pairs("train")
    order = torch.arange(600).flip(0)
    for batches in (Batches(pairs, 100), Batches(pairs, 100, order=lambda: order)):
        last = list(batches)[-1]
        chosen = slice(500, 600) if batches.order is None else order[500:]
        assert [
            torch.equal(rows, view[chosen])
            for rows, view in zip(last, pairs.modalities().values(), strict=True)
        ]
        assert len(last) == 3


def test_sizes_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"data\.private_x=0: x shares nothing"):
        three(shared_xyz=0, shared_xy=0, shared_xz=0, private_x=0)
    with pytest.raises(ValueError, match=r"data\.d_z=8 columns cannot hold 9 latents under a rotation"):
        three(mixing="rotated", d_z=8)
