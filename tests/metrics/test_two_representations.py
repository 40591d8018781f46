"""CKA, Procrustes and neighbourhood overlap of two representations against other derivations."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes as scipy_procrustes
from sklearn.neighbors import NearestNeighbors

from helpers.manifolds import gaussian
from intrinsic_clip.metrics import linear_cka, neighbourhood_overlap, procrustes


def two(n: int = 80, width: int = 6, other: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two representations that share three dimensions, far from the origin."""
    z = gaussian(n, 3)
    x = torch.cat([z, gaussian(n, width - 3, seed=1)], 1) + 5
    return x, z @ gaussian(3, other, seed=2) + gaussian(n, other, seed=3) - 2


def hsic(kernel: np.ndarray, other: np.ndarray) -> float:
    """Return the unbiased criterion by its sum over all i ≠ j ≠ q ≠ r, as Song and others define it."""
    n = len(kernel)
    kernel, other = kernel.copy(), other.copy()
    np.fill_diagonal(kernel, 0)
    np.fill_diagonal(other, 0)
    pairs = sum(kernel[i, j] * other[i, j] for i in range(n) for j in range(n))
    triples = sum(
        kernel[i, j] * other[i, q]
        for i in range(n)
        for j in range(n)
        for q in range(n)
        if len({i, j, q}) == 3
    )
    quadruples = kernel.sum() * other.sum() - 4 * triples - 2 * pairs
    falling = n * (n - 1)
    return pairs / falling - 2 * triples / (falling * (n - 2)) + quadruples / (falling * (n - 2) * (n - 3))


def test_cka_is_the_sum_over_distinct_rows() -> None:
    x, y = two(14)
    kernel, other = (np.asarray(side @ side.T, dtype=float) for side in (x.double(), y.double()))
    expected = hsic(kernel, other) / math.sqrt(hsic(kernel, kernel) * hsic(other, other))
    assert linear_cka(x.double(), y.double()).item() == pytest.approx(expected, rel=1e-9)


def test_cka_is_unbiased_where_columns_outnumber_rows() -> None:
    values = linear_cka(
        torch.randn(200, 20, 100, generator=torch.Generator().manual_seed(0)),
        gaussian(20, 60, seed=4).expand(200, 20, 60),
    )
    assert abs(values.mean()) < 4 * values.std() / math.sqrt(200)


def test_cka_does_not_depend_on_rotation_scale_or_shift() -> None:
    x, y = two()
    turn = torch.linalg.qr(gaussian(9, 9, seed=5).double()).Q
    assert linear_cka(x, 1e200 * (y.double() @ turn) + 1e200).item() == pytest.approx(
        linear_cka(x, y).item(), rel=1e-9
    )


@pytest.mark.parametrize("other", [6, 9, 3])
def test_the_residual_is_that_of_scipy(other) -> None:
    x, y = two(other=other)
    padded = [torch.nn.functional.pad(side, (0, 9 - side.shape[1])).double().numpy() for side in (x, y)]
    first, second, disparity = scipy_procrustes(*padded)
    fit = procrustes(x, y)
    assert fit.residual.item() == pytest.approx(disparity, rel=1e-6)
    assert np.allclose(fit.rows, len(x) * ((first - second) ** 2).sum(1), rtol=1e-5)
    assert fit.rows.mean().item() == pytest.approx(disparity, rel=1e-6)
    assert procrustes(y, x).residual.item() == pytest.approx(disparity, rel=1e-6)
    centred = [side - side.mean(0) for side in padded]
    centred = [side / np.linalg.norm(side) for side in centred]
    turn, strength = orthogonal_procrustes(centred[1], centred[0])
    assert fit.residual.item() == pytest.approx(1 - strength**2, rel=1e-6)
    assert np.allclose(
        fit.rows, len(x) * ((centred[0] - strength * centred[1] @ turn) ** 2).sum(1), rtol=1e-5
    )


def test_overlap_is_that_of_scikit_learn() -> None:
    x, y = two()
    sets = [
        NearestNeighbors(n_neighbors=10).fit(side.numpy()).kneighbors(return_distance=False)
        for side in (x, y)
    ]
    expected = [len(set(a) & set(b)) / 10 for a, b in zip(*map(np.ndarray.tolist, sets), strict=True)]
    assert neighbourhood_overlap(x, y).tolist() == pytest.approx(expected)


def test_replicates_are_those_alone() -> None:
    pairs = [two(), tuple(side.flip(0) * torch.arange(1, side.shape[1] + 1) for side in two())]
    x, y = (torch.stack(sides) for sides in zip(*pairs, strict=True))
    for r, (one, other) in enumerate(pairs):
        assert linear_cka(x, y)[r].item() == pytest.approx(linear_cka(one, other).item(), rel=1e-12)
        assert torch.allclose(procrustes(x, y).rows[r], procrustes(one, other).rows)
        assert torch.equal(neighbourhood_overlap(x, y)[r], neighbourhood_overlap(one, other))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("damage", ["constant", "nan"])
def test_what_cannot_be_compared_is_nan(damage) -> None:
    x, y = two()
    if damage == "constant":
        y = torch.full_like(y, 0.1)
    else:
        y[3, 2] = math.nan
    assert linear_cka(x, y).isnan()
    assert procrustes(x, y).residual.isnan()
    assert procrustes(x, y).rows.isnan().all()
    overlap = neighbourhood_overlap(x, y)
    assert bool(overlap[3].isnan())
    assert bool(overlap.isnan().all()) == (damage == "constant")


@pytest.mark.parametrize("replicates", [(), (2,)])
def test_a_row_that_one_side_lacks_takes_no_neighbours_place_on_the_other(
    replicates: tuple[int, ...],
) -> None:
    x = gaussian(100, 3).expand(*replicates, 100, 3)
    y = 2 * x + 1
    y[..., ::5, 1] = math.nan
    kept = torch.arange(100) % 5 > 0
    with pytest.warns(UserWarning, match="points hold NaN"):
        one, other = neighbourhood_overlap(x, y), neighbourhood_overlap(y, x)
    for overlap in (one, other):
        assert bool((overlap[..., kept] == 1).all())
        assert bool(overlap[..., ~kept].isnan().all())


def test_overlap_needs_as_many_other_rows_as_neighbours() -> None:
    x = gaussian(11, 3)
    assert neighbourhood_overlap(x, x, k=10).tolist() == [1.0] * 11
    with pytest.warns(UserWarning, match="needs at least 12"):
        assert bool(neighbourhood_overlap(x, x, k=11).isnan().all())
