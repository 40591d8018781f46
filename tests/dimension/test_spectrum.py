"""Test linear dimensions against scikit-dimension, scikit-learn and closed forms, with their standard errors."""

import math
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import skdim
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from torch import Tensor

from helpers.manifolds import gaussian
from intrinsic_clip.dimension import (
    DimensionEstimate,
    components,
    effective_rank,
    participation_ratio,
    spectrum,
)
from intrinsic_clip.dimension.spectrum import SecondMoments

MANIFOLDS = {
    "M1_Sphere": (10, 11),
    "M2_Affine_3to5": (3, 5),
    "M4_Nonlinear": (4, 8),
    "M7_Roll": (2, 3),
    "M9_Affine": (20, 20),
    "M10a_Cubic": (10, 11),
}
ESTIMATORS: dict[str, Callable[[Tensor], DimensionEstimate]] = {
    "participation_ratio": participation_ratio,
    "effective_rank": effective_rank,
    "effective_rank, centred": partial(effective_rank, center=True),
    "components": components,
}
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)


def manifold(name: str, n: int) -> Tensor:
    dim, d = MANIFOLDS[name]
    generator = skdim.datasets.BenchmarkManifolds(random_state=0)
    return torch.from_numpy(generator.generate(name=name, n=n, dim=d, d=dim))


def with_covariance(values: Tensor, n: int) -> Tensor:
    """Return rows whose sample covariance (over n − 1) is exactly diag(values), about a mean of 3."""
    rows = gaussian(n, len(values))
    basis = torch.linalg.qr(rows - rows.mean(0)).Q
    return basis * (values * (n - 1)).sqrt() + 3


def entropy_rank(points: Tensor) -> float:
    singular = np.linalg.svd(points.double().numpy(), compute_uv=False)
    shares = singular[singular > 0] / singular.sum()
    return math.exp(-(shares * np.log(shares)).sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MANIFOLDS)
@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value):RuntimeWarning")  # in scikit-dimension
def test_equals_scikit_dimension_and_scikit_learn(name: str, dtype: torch.dtype) -> None:
    points = manifold(name, 500).to(dtype)
    rows = points.double().numpy()
    pca = PCA().fit(rows)
    np.testing.assert_allclose(spectrum(points), pca.explained_variance_, rtol=1e-9, atol=1e-12)
    ratio = skdim.id.lPCA(ver="participation_ratio").fit(rows).dimension_
    assert participation_ratio(points).value.item() == pytest.approx(ratio, rel=1e-6)
    for share in (0.5, 0.9, 0.95, 0.999):
        count = skdim.id.lPCA(ver="ratio", alphaRatio=share).fit(rows).dimension_
        assert components(points, share).value.item() == count
    assert effective_rank(points).value.item() == pytest.approx(entropy_rank(points), rel=1e-6)
    centred = entropy_rank(points.double() - points.double().mean(0))
    assert effective_rank(points, center=True).value.item() == pytest.approx(centred, rel=1e-6)


@pytest.mark.parametrize(("n", "d"), [(30, 200), (200, 200), (201, 200), (2, 7)])
def test_fewer_rows_than_columns(n: int, d: int) -> None:
    points = gaussian(n, d)
    expected = np.zeros(d)
    expected[: min(n, d)] = PCA().fit(points.numpy()).explained_variance_
    np.testing.assert_allclose(spectrum(points), expected, rtol=1e-9, atol=1e-12)
    assert effective_rank(points).value.item() == pytest.approx(entropy_rank(points), rel=1e-6)


def test_closed_forms() -> None:
    values = torch.tensor([4.0, 2.0, 1.0, 1.0], dtype=torch.float64)
    points = with_covariance(values, 50)
    torch.testing.assert_close(spectrum(points), values)
    assert participation_ratio(points).value.item() == pytest.approx(64 / 22)
    shares = values.sqrt() / values.sqrt().sum()
    entropy = -(shares * shares.log()).sum().item()
    assert effective_rank(points, center=True).value.item() == pytest.approx(math.exp(entropy))
    for share, count in [(0.2, 1), (0.5, 1), (0.51, 2), (0.75, 2), (0.875, 3), (0.95, 4)]:
        assert components(points, share).value == count


@pytest.mark.parametrize("d", [1, 2, 20])
def test_alike_variances_are_d_dimensions(d: int) -> None:
    points = with_covariance(torch.ones(d, dtype=torch.float64), 100)
    assert participation_ratio(points).value.item() == pytest.approx(d)
    assert effective_rank(points, center=True).value.item() == pytest.approx(d)
    assert components(points, 0.95).value == math.ceil(0.95 * d)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rank_deficient_points_have_no_more_than_their_rank(dtype: torch.dtype) -> None:
    points = (gaussian(500, 3).to(dtype) @ gaussian(3, 40, seed=1).to(dtype)).double()
    tolerance = 40 * torch.finfo(dtype).eps
    assert spectrum(points)[3:].max() <= tolerance**2 * spectrum(points)[0]
    assert effective_rank(points).value <= 3 + 1000 * tolerance
    assert components(points, 0.999999).value <= 3


@every_estimator
def test_replicates_equal_one_at_a_time(estimator: Callable[[Tensor], DimensionEstimate]) -> None:
    points = gaussian(2, 3, 60, 5)
    points[1, 1, :, 2:] = 0.0
    points[0, 2, :, 1:] = 0.0
    points[1, 0] = 0.0
    points[0, 0, 7, 3] = math.nan
    points[1, 2, 1:] = math.inf
    with pytest.warns(
        UserWarning, match=r"60 of 360 points hold NaN.*got 1 \(in 1 of 6 replicates\)"
    ) as record:
        together = estimator(points)
    assert len(record) == 1
    assert together.value.shape == together.standard_error.shape == (2, 3)
    assert (together.pointwise, together.k, together.n) == (None, None, 60)
    for index in np.ndindex(2, 3):
        noted = index in [(0, 0), (1, 0), (1, 2)]
        with pytest.warns(UserWarning, match="NaN|all rows are") if noted else nullcontext():
            alone = estimator(points[index])
        for field in ("value", "standard_error"):
            torch.testing.assert_close(getattr(together, field)[index], getattr(alone, field), equal_nan=True)
    assert (together.value[0, 2], together.standard_error[0, 2]) == (1, 0)
    assert together.value[1, 0].isnan()
    with pytest.warns(UserWarning, match="NaN"):
        variances = spectrum(points)
    assert variances.shape == (2, 3, 5)
    torch.testing.assert_close(variances[1, 1], spectrum(points[1, 1]))
    assert variances[1, 2].isnan().all()
    assert not variances[1, 0].any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["participation_ratio", "effective_rank", "effective_rank, centred"])
@pytest.mark.parametrize("heavy", [False, True])
def test_standard_error_is_the_spread(name: str, heavy: bool) -> None:
    points = gaussian(200, 400, 8) * torch.linspace(1, 0.2, 8) + 0.5
    if heavy:
        points = points * gaussian(200, 400, 1, seed=1).exp()
    estimate = ESTIMATORS[name](points)
    ratio = estimate.value.std() / estimate.standard_error.mean()
    assert 0.85 < ratio < 1.2  # the spread of 200 is itself known to 5 %


@pytest.mark.slow
def test_standard_error_of_components_is_the_spread() -> None:
    points = gaussian(150, 600, 60) * torch.linspace(1, 0.3, 60)
    points[..., :20] *= 2 * gaussian(150, 600, 1, seed=1)  # else the count would hardly change
    estimate = components(points, 0.9)
    spread = (estimate.value.var() - 1 / 12).sqrt()  # less that of rounding to whole numbers
    assert 0.85 < spread / estimate.standard_error.mean() < 1.25


def test_bias_of_the_participation_ratio() -> None:
    bias = participation_ratio(gaussian(300, 500, 10)).value.mean() - 10
    assert bias.item() == pytest.approx(-100 / 500, rel=0.2)


@every_estimator
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype, estimator: Callable[[Tensor], DimensionEstimate]) -> None:
    points = gaussian(500, 6) * torch.linspace(1, 0.3, 6)
    expected = estimator(points.to(dtype).double())
    assert estimator(points.to(dtype)) == expected
    assert expected.value.item() == pytest.approx(estimator(points).value.item(), rel=0.01)


@every_estimator
@pytest.mark.parametrize("scale", [1e-300, 5e-160, 1e-30, 1e30, 1e160, 1e307])
def test_scale_changes_nothing(scale: float, estimator: Callable[[Tensor], DimensionEstimate]) -> None:
    points = gaussian(100, 5)
    expected, scaled = estimator(points), estimator(points * scale)
    torch.testing.assert_close(scaled.value, expected.value, rtol=1e-12, atol=0)
    torch.testing.assert_close(scaled.standard_error, expected.standard_error, rtol=1e-9, atol=1e-14)


@every_estimator
def test_columns_that_do_not_vary_do_not_count(estimator: Callable[[Tensor], DimensionEstimate]) -> None:
    points = gaussian(100, 4)
    fill = 0.0 if estimator is effective_rank else 0.1
    padded = torch.cat([points, torch.full((100, 40), fill)], -1)
    torch.testing.assert_close(estimator(padded).value, estimator(points).value)
    line = torch.cat([points[:, :1], torch.full((100, 40), fill)], -1)
    assert (estimator(line).value, estimator(line).standard_error) == (1, 0)
    assert estimator(points[:, :1]).value == 1


def test_collapsed_points() -> None:
    points = torch.full((100, 5), 0.3)
    for estimator in (participation_ratio, components, partial(effective_rank, center=True)):
        with pytest.warns(UserWarning, match="^all rows are equal$"):
            estimate = estimator(points)
        assert estimate.value.isnan()
        assert estimate.standard_error.isnan()
        assert estimate.reason == "all rows are equal"
    assert effective_rank(points).value.item() == pytest.approx(1)  # one direction, that of the mean
    with pytest.warns(UserWarning, match="all rows are zero"):
        assert effective_rank(0 * points).reason == "all rows are zero"
    assert not spectrum(points).any()


@every_estimator
@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows_is_a_reason(rows: int, estimator: Callable[[Tensor], DimensionEstimate]) -> None:
    with pytest.warns(UserWarning, match=f"needs at least 2 finite rows, got {rows}"):
        estimate = estimator(gaussian(rows, 3))
    assert estimate.value.isnan()
    assert estimate.reason == f"needs at least 2 finite rows, got {rows}"


@every_estimator
def test_rows_with_nan_are_left_out(estimator: Callable[[Tensor], DimensionEstimate]) -> None:
    points = gaussian(50, 3)
    spoilt = points.clone()
    spoilt[3, 1], spoilt[10, 0] = math.nan, math.inf
    with pytest.warns(UserWarning, match="^2 of 50 points hold NaN or infinity and were left out$"):
        estimate = estimator(spoilt)
    good = [i for i in range(50) if i not in (3, 10)]
    assert estimate.value == estimator(points[good]).value
    assert estimate.reason is None


@every_estimator
def test_duplicates_weigh_as_often_as_they_occur(estimator: Callable[[Tensor], DimensionEstimate]) -> None:
    points = gaussian(50, 3)
    torch.testing.assert_close(estimator(points.repeat(2, 1)).value, estimator(points).value)


@every_estimator
def test_no_replicates(estimator: Callable[[Tensor], DimensionEstimate]) -> None:
    assert estimator(gaussian(0, 20, 3)).value.shape == (0,)


def test_wrong_arguments() -> None:
    for share in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="variance must lie between 0 and 1"):
            components(gaussian(10, 2), share)
    for function in [spectrum, *ESTIMATORS.values()]:
        with pytest.raises(ValueError, match=r"must be \(\*R, n, d\)"):
            function(gaussian(10))
        with pytest.raises(ValueError, match="must be real"):
            function(torch.ones(10, 2, dtype=torch.complex64))


@pytest.mark.slow
@every_estimator
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.floats(width=64)] * 3), max_size=6))
def test_finite_within_bounds_or_a_reason(
    estimator: Callable[[Tensor], DimensionEstimate], rows: list[tuple[float, float, float]]
) -> None:
    points = torch.tensor(rows, dtype=torch.float64).reshape(-1, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        estimate = estimator(points)
        variances = spectrum(points)
    if estimate.reason:
        assert estimate.value.isnan()
    else:
        assert 1 - 1e-9 <= estimate.value <= 3 + 1e-9
    assert not (variances[1:] > variances[:-1]).any()


def test_one_decomposition_serves_all_estimators(monkeypatch: pytest.MonkeyPatch) -> None:
    points = torch.stack([gaussian(60, 5), gaussian(60, 5).masked_fill(torch.eye(60, 5) == 1, math.nan)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = [estimator(points) for estimator in ESTIMATORS.values()]
        decompose, sizes = torch.linalg.eigh, list[torch.Size]()
        monkeypatch.setattr(
            torch.linalg, "eigh", lambda matrix: sizes.append(matrix.shape) or decompose(matrix)
        )
        moments = SecondMoments(points)
        together = [estimator(moments) for estimator in ESTIMATORS.values()]
        variances = spectrum(moments)
    assert len(sizes) == 4  # two replicates, centred and not
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one.value, other.value)
        assert torch.equal(one.standard_error, other.standard_error)
        assert (one.n, one.name, one.reason) == (other.n, other.name, other.reason)
    assert torch.equal(variances, spectrum(points))
