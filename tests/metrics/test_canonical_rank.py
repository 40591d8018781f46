"""Canonical and kernel canonical correlations against other derivations, and their ranks where they are known."""

import math
from collections.abc import Callable

import pytest
import torch
from scipy.linalg import eigh

from helpers.manifolds import gaussian
from intrinsic_clip.metrics import CanonicalRank, canonical_directions, canonical_rank, kernel_canonical_rank


def views(k: int, n: int = 500, noise: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two linear views of k shared and 3 private latents each."""
    z = gaussian(n, k)
    sides = []
    for seed in (1, 2):
        latents = torch.cat([z, gaussian(n, 3, seed=seed)], 1)
        mixed = latents @ gaussian(k + 3, 9, seed=seed + 2)
        sides.append(mixed + noise * gaussian(n, 9, seed=seed + 4))
    return sides[0], sides[1]


@pytest.mark.parametrize("k", [0, 1, 4])
def test_rank_of_linear_views_is_the_number_of_shared_latents(k: int) -> None:
    x, y = views(k)
    assert canonical_rank(x, y).rank.item() == k


def test_correlations_are_those_of_the_canonical_directions() -> None:
    x, y = views(2)
    expected = canonical_directions(x, y, ridge=0).correlations
    torch.testing.assert_close(canonical_rank(x, y, permutations=2).correlations, expected.double())


@pytest.mark.parametrize("permutations", [19, 39])
def test_independent_views_exceed_the_threshold_in_one_of_twenty(permutations: int) -> None:
    """A threshold that the data exceed with the chance that they are the largest, or second largest, of all draws."""
    x, y = (torch.randn(400, 60, 3, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    ranks = [canonical_rank(x[i], y[i], permutations=permutations, seed=7 * i).rank for i in range(400)]
    share = sum(float(rank) > 0 for rank in ranks) / 400
    assert share == pytest.approx(0.05, abs=0.03)


@pytest.mark.parametrize("rank", [canonical_rank, kernel_canonical_rank])
def test_correlations_of_codes_that_equal_the_threshold_do_not_count(rank) -> None:
    """Two columns of few ones correlate by one of few values, which rounding must not lift above itself."""
    code = torch.zeros(100, 1)
    code[:5] = 1
    generator = torch.Generator().manual_seed(0)
    for seed in range(60):
        x, y = (code[torch.randperm(100, generator=generator)] for _ in range(2))
        found = rank(x, y, seed=seed)
        if float(found.correlations[0]) < float(found.threshold) + 1e-4:
            assert found.rank == 0


def test_no_permutation_is_refused() -> None:
    for rank in (canonical_rank, kernel_canonical_rank):
        with pytest.raises(ValueError, match="permutations must be at least 1, got 0"):
            rank(gaussian(30, 2), gaussian(30, 2, seed=1), permutations=0)


def test_replicates_equal_one_at_a_time() -> None:
    x, y = (torch.stack(sides) for sides in zip(views(1), views(3), strict=True))
    for rank in (canonical_rank, kernel_canonical_rank):
        together = rank(x[..., :6], y[..., :5], permutations=9)
        for r in range(2):
            alone = rank(x[r, :, :6], y[r, :, :5], permutations=9)
            torch.testing.assert_close(together.rank[r], alone.rank)
            torch.testing.assert_close(together.threshold[r], alone.threshold)


def test_more_columns_than_pairs_have_no_rank() -> None:
    """Any two sets of so many columns correlate perfectly, shuffled or not."""
    result = canonical_rank(gaussian(30, 20), gaussian(30, 15, seed=1))
    assert result.rank.isnan()
    assert result.reason == "30 pairs are too few: any 20 and 15 columns of so many rows correlate perfectly"


def test_kernel_correlations_solve_the_generalised_eigenproblem() -> None:
    """All rows as landmarks make Nyström's approximation exact."""
    n, ridge = 60, 0.05
    x = gaussian(n, 2).double()
    y = x.square() + 0.3 * gaussian(n, 2, seed=1).double()
    found = kernel_canonical_rank(x, y, ridge=ridge, landmarks=n, permutations=2).correlations
    centring = torch.eye(n).double() - 1 / n
    kernels = []
    for rows in (x, y):
        squares = torch.cdist(rows, rows).square()
        median = squares[*torch.triu_indices(n, n, 1)].median()
        kernels.append(centring @ (-squares / (2 * median)).exp() @ centring)
    k_x, k_y = kernels
    zero = torch.zeros(n, n).double()
    left = torch.cat([torch.cat([zero, k_x @ k_y], 1), torch.cat([k_y @ k_x, zero], 1)])
    penalised = [kernel @ kernel + n * ridge * kernel for kernel in kernels]
    right = torch.block_diag(*penalised) + 1e-10 * torch.eye(2 * n).double()
    expected = torch.tensor(eigh(left.numpy(), right.numpy(), eigvals_only=True)).flip(0)
    torch.testing.assert_close(found[:10].double(), expected[:10], rtol=1e-3, atol=1e-3)


def test_kernel_correlations_of_a_gaussian_pair_are_near_powers() -> None:
    """Lancaster: the correlations of a normal pair are ρ, ρ², …; a small ridge hardly shrinks the first ones."""
    rho, n = 0.9, 4000
    x = gaussian(n, 1)
    y = rho * x + (1 - rho**2) ** 0.5 * gaussian(n, 1, seed=1)
    found = kernel_canonical_rank(x, y, ridge=1e-4, permutations=2).correlations[:3]
    torch.testing.assert_close(found.float(), torch.tensor([rho, rho**2, rho**3]), rtol=0.05, atol=0)


def test_kernel_finds_what_is_not_linear_and_nothing_in_independent_views() -> None:
    z = torch.linspace(-1, 1, 600)[:, None]
    square = z.square() + 0.1 * gaussian(600, 1)
    assert canonical_rank(z, square).rank == 0
    assert kernel_canonical_rank(z, square).rank >= 1
    assert kernel_canonical_rank(gaussian(600, 5), gaussian(600, 5, seed=1)).rank == 0


@pytest.mark.parametrize("rank", [canonical_rank, kernel_canonical_rank])
def test_a_constant_view_has_no_rank(rank) -> None:
    result = rank(torch.ones(60, 2), gaussian(60, 2))
    assert result.rank.isnan()
    assert result.reason == "every column of a view is constant"


@pytest.mark.parametrize("rank", [canonical_rank, kernel_canonical_rank])
@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_values_that_are_not_finite_have_no_rank_and_a_reason(rank, odd) -> None:
    pairs = gaussian(2, 60, 2)
    expected = rank(pairs[1], pairs[1]).rank
    pairs[0, 7, 1] = odd
    for views in ((pairs, torch.zeros_like(pairs) + pairs[1]), (torch.zeros_like(pairs) + pairs[1], pairs)):
        result = rank(*views)
        assert result.rank[0].isnan()
        assert result.rank[1] == expected
        assert result.reason == "some values are NaN or infinite"


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="with one n"):
        canonical_rank(gaussian(10, 2), gaussian(9, 2))
    with pytest.raises(ValueError, match="ridge must be positive"):
        kernel_canonical_rank(gaussian(10, 2), gaussian(10, 2), ridge=0)


@pytest.mark.parametrize("test", [canonical_rank, kernel_canonical_rank])
def test_pairs_whose_orders_are_too_few_have_no_test(test: Callable[..., CanonicalRank]) -> None:
    z = torch.randn(5, 1, generator=torch.Generator().manual_seed(5))
    found = test(z[:3], z[:3])
    assert bool(found.rank.isnan())
    assert found.reason == "3 pairs are too few: with 6 orders nothing is rarer than 0.05"
    assert bool(test(z[:3], z[:3], level=0.2).rank.isfinite())
    assert float(test(z, z).rank) == 1
