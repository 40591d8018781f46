"""Test the MLE against scikit-dimension, its standard error, invariances and degenerate points."""

from contextlib import nullcontext

import numpy as np
import pytest
import skdim
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.given_distances import given_distances
from helpers.manifolds import MANIFOLDS, gaussian, manifold
from intrinsic_clip.dimension import mean_mle, mle, nearest_neighbours


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [200, 2000])
@pytest.mark.parametrize("name", MANIFOLDS)
def test_equals_scikit_dimension(name: str, n: int, dtype: torch.dtype) -> None:
    points = torch.from_numpy(manifold(name, n)).to(dtype)
    reference = skdim.id.MLE().fit(points.double().numpy())
    estimate = mle(points)
    assert estimate.value.item() == pytest.approx(reference.dimension_, rel=1e-6)
    np.testing.assert_allclose(estimate.pointwise.numpy(), reference.dimension_pw_, rtol=1e-6)
    assert (estimate.n, estimate.k, estimate.reason) == (n, 20, None)


@pytest.mark.parametrize("k", [3, 7, 50])
@pytest.mark.parametrize(("combine", "comb"), [("harmonic", "mle"), ("mean", "mean"), ("median", "median")])
@pytest.mark.parametrize("unbiased", [False, True])
def test_options_equal_scikit_dimension(k: int, combine: str, comb: str, unbiased: bool) -> None:
    points = gaussian(300, 4)
    reference = skdim.id.MLE(unbiased=unbiased).fit(points.numpy(), n_neighbors=k, comb=comb)
    value = mle(points, k=k, combine=combine, unbiased=unbiased).value.item()
    assert value == pytest.approx(reference.dimension_, rel=1e-9)


def test_mean_mle_is_the_number_of_the_published_figures() -> None:
    points = gaussian(2, 300, 4)
    reference = [skdim.id.MLE().fit_transform(rows.numpy()) for rows in points]
    np.testing.assert_allclose(mean_mle(points).value, reference, rtol=1e-9)


def test_neighbours_can_be_shared() -> None:
    points = gaussian(2, 300, 4)
    torch.testing.assert_close(mle(nearest_neighbours(points, 30), k=10).value, mle(points, k=10).value)
    with pytest.raises(ValueError, match="needs 20 neighbours of each point, got 5"):
        mle(nearest_neighbours(points, 5))


@pytest.mark.parametrize("combine", ["harmonic", "mean", "median"])
def test_replicates_equal_one_at_a_time(combine: str) -> None:
    points = gaussian(2, 3, 120, 5)
    points[1, 1, :, 2:] = 0.0
    points[0, 2, :, 1:] = 0.0
    points[1, 0] = 0.0
    points[0, 0, :30] = points[0, 0, 30:60]
    with pytest.warns(UserWarning, match="duplicates"):
        together = mle(points, combine=combine)
    assert together.value.shape == together.standard_error.shape == (2, 3)
    for index in np.ndindex(2, 3):
        with (
            pytest.warns(UserWarning, match="duplicates|NaN") if index in [(0, 0), (1, 0)] else nullcontext()
        ):
            alone = mle(points[index], combine=combine)
        for field in ("value", "standard_error", "pointwise"):
            torch.testing.assert_close(getattr(together, field)[index], getattr(alone, field), equal_nan=True)
    assert together.value[0, 2] == 1
    assert together.value[1, 0].isnan()
    assert together.value[1, 1] == pytest.approx(2, abs=0.4)


@pytest.mark.parametrize("combine", ["harmonic", "mean"])
def test_standard_error_where_dimensions_differ(combine: str) -> None:
    """Points lie in 2 or 10 dimensions by chance; as if all had one dimension the error was 0.3 of the spread."""
    points = gaussian(30, 300, 10, seed=8)
    flat = (gaussian(30, 300, seed=9) < 0)[..., None]
    points[..., 2:] *= ~flat
    estimate = mle(points + 6.0 * flat, combine=combine)
    assert 0.65 < float(estimate.standard_error.mean() / estimate.value.std()) < 1.5


def test_standard_error_is_of_the_size_of_the_spread() -> None:
    estimate = mle(torch.nn.functional.normalize(gaussian(60, 500, 4), dim=-1))
    ratio = estimate.value.std() / estimate.standard_error.mean()
    assert 0.9 < ratio < 1.7  # above 1, because neighbourhoods overlap


@pytest.mark.parametrize("combine", ["harmonic", "mean", "median"])
def test_standard_error_of_independent_neighbourhoods(combine: str) -> None:
    replicates, n, k = 2000, 100, 10
    generator = torch.Generator().manual_seed(0)
    inner = torch.rand(replicates, n, k - 1, generator=generator, dtype=torch.float64) ** (1 / 5)
    distances = torch.cat([inner.sort(-1).values, torch.ones(replicates, n, 1)], -1)
    estimate = mle(given_distances(distances), k, combine)
    assert estimate.value.std() == pytest.approx(estimate.standard_error.mean().item(), rel=0.06)


def test_duplicates_do_not_change_the_estimate() -> None:
    points = gaussian(200, 3)
    with pytest.warns(UserWarning, match="50 of 250 points are exact duplicates"):
        estimate = mle(torch.cat([points, points[:50]]))
    torch.testing.assert_close(estimate.value, mle(points).value)
    assert estimate.pointwise[200:].isnan().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    points = gaussian(500, 6)
    assert mle(points.to(dtype)).value == pytest.approx(mle(points).value.item(), rel=0.02)


def test_one_column_is_one_dimension() -> None:
    estimate = mle(gaussian(100, 1))
    assert (estimate.value.item(), estimate.standard_error.item()) == (1.0, 0.0)
    assert torch.equal(estimate.pointwise, torch.ones(100, dtype=torch.float64))
    padded = torch.cat([gaussian(100, 1), torch.zeros(100, 43)], -1)
    assert mle(padded).value == 1


@pytest.mark.parametrize("d", [1, 5])
def test_collapsed_points_have_no_dimension(d: int) -> None:
    with pytest.warns(UserWarning, match="got 1"):
        estimate = mle(torch.full((100, d), 0.3))
    assert estimate.value.isnan()
    assert estimate.standard_error.isnan()
    assert estimate.reason == "needs at least 21 distinct points for k = 20, got 1"


def test_a_grid_of_equal_distances_has_a_reason() -> None:
    with pytest.warns(UserWarning, match="equally far"):
        estimate = mle(torch.eye(30), k=5)
    assert estimate.value.isnan()
    assert "equally far" in estimate.reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 1}, "at least 2"),
        ({"k": 2, "unbiased": True}, "at least 3"),
        ({"combine": "mode"}, "combine must be"),
    ],
)
def test_wrong_arguments(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mle(gaussian(50, 2), **options)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(1e-20, 1e20), st.floats(-100, 100))
def test_invariant_to_scale_translation_permutation_and_rotation(
    seed: int, scale: float, shift: float
) -> None:
    points = gaussian(60, 3, seed=seed)
    moved = (points @ torch.linalg.qr(gaussian(3, 3, seed=seed + 1))[0] + shift)[
        gaussian(60, seed=seed).argsort()
    ]
    torch.testing.assert_close(mle(moved * scale).value, mle(points).value, rtol=1e-7, atol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*(duplicates|distinct|NaN|equally)")
@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(width=32)] * 2), max_size=14),
    st.sampled_from(["harmonic", "mean", "median"]),
)
def test_finite_or_a_reason(rows: list[tuple[float, float]], combine: str) -> None:
    points = torch.tensor(rows, dtype=torch.float32).reshape(-1, 2)
    estimate = mle(points, k=3, combine=combine)
    assert estimate.value.isfinite() or estimate.reason
