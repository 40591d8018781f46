"""The synthetic sources against properties that follow from their definitions."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from intrinsic_clip import data
from intrinsic_clip.data import Batches, Pairs
from intrinsic_clip.data.features.cities import Cities
from intrinsic_clip.data.images.emoji import Emoji
from intrinsic_clip.errors import ConfigError

SOURCES = [
    data.SyntheticLinear,
    data.SyntheticNonlinear,
    data.SyntheticRotated,
    data.SyntheticGaussianNonlinear,
    data.SyntheticIndependent,
]
LARGE = {"n_train": 40_000, "n_append": 10, "n_test": 10}


def _train(source, **options) -> Pairs:
    return source(**{**LARGE, **options}).pairs("train")


def _correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the correlations between the columns of a and of b, (d_a, d_b)."""
    a, b = ((c - c.mean(0)) / c.std(0) for c in (a, b))
    return a.T @ b / len(a)


@pytest.mark.parametrize("source", SOURCES)
def test_same_seed_same_data_and_splits_of_the_asked_sizes(source) -> None:
    sizes = {"n_train": 300, "n_append": 20, "n_test": 50}
    first, again, other = source(**sizes, seed=1), source(**sizes, seed=1), source(**sizes, seed=2)
    for split, n in (("train", 300), ("append", 20), ("test", 50)):
        assert first.pairs(split).x.shape == (n, 20)
        assert torch.equal(first.pairs(split).x, again.pairs(split).x)
        assert torch.equal(first.pairs(split).y, again.pairs(split).y)
    assert not torch.equal(first.pairs("train").x, other.pairs("train").x)
    assert not torch.equal(first.pairs("train").x[:20], first.pairs("append").x)


def test_linear_shares_the_first_coordinates_and_nothing_else() -> None:
    pairs = _train(data.SyntheticLinear)
    assert torch.equal(pairs.x[:, :5], pairs.y[:, :5])
    assert torch.equal(pairs.z, pairs.y[:, :5])
    assert _correlation(pairs.x[:, 5:], pairs.y).abs().max() < 0.025


def test_linear_noise_gives_the_stated_correlation_and_information() -> None:
    source = data.SyntheticLinear(**LARGE, noise=0.5)
    pairs = source.pairs("train")
    rho = _correlation(pairs.x[:, :5], pairs.y[:, :5]).diagonal()
    assert torch.allclose(rho, torch.full((5,), 1 / math.sqrt(1.25)), atol=0.01)
    assert torch.allclose(pairs.x.var(0), torch.ones(20), atol=0.04)
    gaussian = -0.5 * torch.log(1 - rho**2).sum()  # from the sample correlations: a second derivation
    assert source.mutual_information == pytest.approx(float(gaussian), rel=0.03)
    assert data.SyntheticLinear(noise=0).mutual_information == math.inf


def test_nonlinear_is_the_papers_formula_row_by_row() -> None:
    pairs = _train(data.SyntheticNonlinear, n_train=500)
    for x, z in zip(pairs.x.tolist(), pairs.y[:, :5].tolist(), strict=True):
        expected = [
            z[0] if z[0] < 0 else 0.0,
            z[1] if z[0] + z[1] > 0.5 else 0.0,
            *(max(v, 0.0) for v in z[2:]),
        ]
        assert x[:5] == pytest.approx(expected)


@pytest.mark.parametrize("shared_dim", [0, 1, 2])
def test_nonlinear_with_few_shared_dimensions(shared_dim: int) -> None:
    assert _train(data.SyntheticNonlinear, n_train=50, shared_dim=shared_dim).z.shape == (50, shared_dim)


def test_gaussian_nonlinear_is_gaussian_nonlinear_and_one_to_one() -> None:
    pairs = _train(data.SyntheticGaussianNonlinear)
    x, z = pairs.x[:, :5], pairs.z
    assert torch.allclose(x.T.cov(), torch.eye(5), atol=0.03)
    assert torch.allclose((x**4).mean(0), torch.full((5,), 3.0), atol=0.25)
    assert _correlation(x, z).abs().max() < 0.8
    assert torch.allclose(x.norm(dim=1), z.norm(dim=1), rtol=1e-4)  # rotations keep lengths: nothing is lost


def test_rotated_is_isotropic_and_shares_as_much_as_linear() -> None:
    pairs = _train(data.SyntheticRotated)
    assert torch.allclose(pairs.x.T.cov(), torch.eye(20), atol=0.04)
    canonical = torch.linalg.svdvals(_correlation(pairs.x, pairs.y))
    assert torch.allclose(canonical[:5], torch.ones(5), atol=0.02)
    assert canonical[5:].max() < 0.05


def test_independent_shares_nothing() -> None:
    source = data.SyntheticIndependent(**LARGE)
    pairs = source.pairs("train")
    assert source.shared_dim == 0
    assert _correlation(pairs.x, pairs.y).abs().max() < 0.025


def test_batches_come_in_order_without_the_incomplete_last_one() -> None:
    pairs = Pairs(torch.arange(20.0).reshape(10, 2), torch.arange(10.0).reshape(10, 1))
    batches = list(Batches(pairs, 4))
    assert len(batches) == len(Batches(pairs, 4)) == 2
    assert torch.equal(torch.cat([y for _, y in batches]).squeeze(), torch.arange(8.0))
    assert batches[0][0].data_ptr() == pairs.x.data_ptr()  # a slice, not a copy


def test_the_shares_of_all_processes_are_the_batch() -> None:
    pairs = Pairs(torch.arange(12.0).reshape(12, 1), torch.zeros(12, 1))
    alone = [x for x, _ in Batches(pairs, 4)]
    shares = zip(*([x for x, _ in Batches(pairs, 4, rank, 2)] for rank in range(2)), strict=True)
    assert all(torch.equal(torch.cat(parts), whole) for parts, whole in zip(shares, alone, strict=True))
    with pytest.raises(MisconfigurationException, match="multiple of the 3 processes"):
        Batches(pairs, 4, 0, 3)


def test_batches_slice_the_row_axis_behind_replicates() -> None:
    pairs = Pairs(torch.zeros(3, 10, 2), torch.zeros(3, 10, 1))
    assert [x.shape for x, _ in Batches(pairs, 5)] == [(3, 5, 2)] * 2


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shared_dim=21"):
        data.SyntheticLinear(shared_dim=21)
    with pytest.raises(ValueError, match="share nothing"):
        data.SyntheticIndependent(shared_dim=2)


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        (
            data.SyntheticLinear,
            {"noise": -1.0},
            "data.noise=-1.0: input should be greater than or equal to 0",
        ),
        (data.SyntheticIndependent, {"n_train": -5}, "data.n_train=-5: input should be greater than 0"),
        (data.SyntheticNonlinear, {"batch_size": 0}, "data.batch_size=0: input should be greater than 0"),
        (data.SyntheticMixed, {"mixing": "tan"}, 'data.mixing="tan": input should be'),
        (data.SyntheticThree, {"noise": math.nan}, "data.noise=nan: must be a finite number"),
        (Emoji, {"folder": Path("."), "batch_size": -1}, "data.batch_size=-1: input should be greater"),
        (Cities, {"folder": Path("."), "noise_y": -0.1}, "data.noise_y=-0.1: input should be greater"),
    ],
)
def test_arguments_are_checked_in_python_as_on_the_command_line(source, options, said) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        source(**options)


def test_an_unknown_argument_is_named_with_its_class() -> None:
    with pytest.raises(
        TypeError, match=r"SyntheticData\.__init__\(\) got an unexpected keyword argument 'nois'"
    ):
        data.SyntheticIndependent(nois=1)
    assert data.SyntheticLinear(noise=np.float32(0.5), replicates=range(2)).noise == 0.5
