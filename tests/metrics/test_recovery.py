"""Test recovery of the latent against scikit-learn, and on latents that can or cannot be recovered."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from helpers.manifolds import gaussian
from intrinsic_clip.metrics import kernel_recovery, linear_recovery
from intrinsic_clip.metrics.crossvalidation import split


def latent_and_representation(n: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    z = gaussian(n, 3) + 5
    x = torch.tanh(z - 5) @ gaussian(3, 8, seed=1) + 0.3 * gaussian(n, 8, seed=2)
    return (x * torch.logspace(-2, 2, 8)).to(dtype), z.to(dtype)


def by_scikit_learn(model: object, x: Tensor, z: Tensor, folds: int = 5, seed: int = 0) -> float:
    rows, target = x.double().numpy(), z.double().numpy()
    predicted = np.full_like(target, np.nan)
    for test in split(len(rows), folds, seed):
        training = np.setdiff1d(np.arange(len(rows)), test.numpy())
        mean = target[training].mean(0)
        fitted = make_pipeline(StandardScaler(), model).fit(rows[training], target[training] - mean)
        predicted[test] = fitted.predict(rows[test.numpy()]).reshape(len(test), -1) + mean
    return r2_score(target, predicted)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    "options", [{}, {"strength": 30.0}, {"folds": 3, "seed": 4}, {"strength": 1e-6, "folds": 2}]
)
def test_linear_recovery_equals_scikit_learn(options: dict, dtype: torch.dtype) -> None:
    x, z = latent_and_representation(200, dtype)
    reference = Ridge(alpha=options.get("strength", 1.0))
    expected = by_scikit_learn(reference, x, z, options.get("folds", 5), options.get("seed", 0))
    assert linear_recovery(x, z, **options).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "options", [{}, {"strength": 3.0, "width": 1.0}, {"width": 5.0, "folds": 3, "seed": 4}]
)
def test_kernel_recovery_equals_scikit_learn(options: dict) -> None:
    x, z = latent_and_representation(150)
    folds, seed = options.get("folds", 5), options.get("seed", 0)

    class Reference(KernelRidge):
        def fit(self, rows: np.ndarray, target: np.ndarray) -> "Reference":
            distances = np.sort(torch.pdist(torch.from_numpy(rows)).numpy())
            width = options.get("width", distances[(len(distances) - 1) // 2])
            self.gamma = 1 / (2 * width**2)
            return super().fit(rows, target)

    expected = by_scikit_learn(Reference(alpha=options.get("strength", 0.1), kernel="rbf"), x, z, folds, seed)
    assert kernel_recovery(x, z, **options).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
def test_a_linear_map_of_the_latent_holds_all_of_it() -> None:
    z = gaussian(2000, 3)
    x = z @ gaussian(3, 10, seed=1) + 7
    assert linear_recovery(x, z).item() == pytest.approx(1, abs=1e-4)
    assert kernel_recovery(x, z).item() == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_a_nonlinear_map_of_the_latent_shows_to_the_kernel() -> None:
    z = gaussian(2000, 2)
    x = torch.cat([z.square(), z[:, :1] * z[:, 1:], z.pow(3)], -1)[:, [0, 1, 2]]
    target = z[:, :1].abs()
    assert linear_recovery(x, target) < 0.95
    assert kernel_recovery(x, target) > linear_recovery(x, target) + 0.02


@pytest.mark.slow
def test_what_is_independent_recovers_nothing() -> None:
    x, z = gaussian(2000, 5), gaussian(2000, 2, seed=1)
    assert linear_recovery(x, z).item() == pytest.approx(0, abs=0.02)
    assert kernel_recovery(x, z) < 0.05


@pytest.mark.parametrize("recovery", [linear_recovery, kernel_recovery])
def test_replicates_equal_one_at_a_time(recovery: Callable[..., Tensor]) -> None:
    z = gaussian(2, 3, 60, 2)
    x = z @ gaussian(2, 3, 2, 4, seed=1) + 0.3 * gaussian(2, 3, 60, 4, seed=2)
    x[0, 1] = 0.1
    x[1, 0, 3, 2] = math.nan
    together = recovery(x, z)
    assert together.shape == (2, 3)
    for index in np.ndindex(2, 3):
        torch.testing.assert_close(recovery(x[index], z[index]), together[index], equal_nan=True)
    assert together.isnan().tolist() == [[False] * 3, [True, False, False]]
    assert -0.2 < together[0, 1] < 0
    shared = recovery(x, z[0, 0])
    torch.testing.assert_close(shared[0, 2], recovery(x[0, 2], z[0, 0]))


@pytest.mark.parametrize("recovery", [linear_recovery, kernel_recovery])
def test_columns_that_do_not_vary_change_nothing(recovery: Callable[..., Tensor]) -> None:
    x, z = latent_and_representation(100)
    padded = torch.cat([x, torch.full((100, 5), 0.1)], -1)
    torch.testing.assert_close(recovery(padded, z), recovery(x, z))
    with_constant = torch.cat([z, torch.full((100, 1), 0.1)], -1)
    torch.testing.assert_close(recovery(x, with_constant), recovery(x, z))
    assert recovery(x, torch.ones(100, 2)).isnan()


def test_mostly_duplicates() -> None:
    x = torch.zeros(100, 2)
    x[:10] = gaussian(10, 2).float()
    assert kernel_recovery(x, gaussian(100, 2)).isfinite()


def test_many_rows_are_drawn_from() -> None:
    x, z = latent_and_representation(300)
    some = kernel_recovery(x, z, max_rows=100)
    assert torch.equal(kernel_recovery(x, z, max_rows=100), some)
    rows = torch.randperm(300, generator=torch.Generator().manual_seed(0))[:100]
    torch.testing.assert_close(kernel_recovery(x[rows], z[rows]), some)


def test_wrong_arguments() -> None:
    x, z = latent_and_representation(20)
    for recovery in (linear_recovery, kernel_recovery):
        with pytest.raises(ValueError, match="x and z must be"):
            recovery(x, z[:19])
        with pytest.raises(ValueError, match="strength must be positive"):
            recovery(x, z, strength=0.0)
        with pytest.raises(ValueError, match="5 folds need at least 10 rows"):
            recovery(x[:9], z[:9])
    with pytest.raises(ValueError, match="width must be positive"):
        kernel_recovery(x, z, width=0.0)
