"""The corrected participation ratio against averages over disjoint points, and Gaussian points of known spectrum."""

import itertools

import pytest
import torch

from helpers.manifolds import gaussian
from intrinsic_clip.dimension import corrected_participation_ratio, participation_ratio


@pytest.mark.parametrize("d", [3, 10])
def test_closed_form_is_the_average_over_disjoint_points(d: int) -> None:
    points = gaussian(6, d)
    numerator = denominator = 0.0
    for i, j, k, m in itertools.permutations(range(6), 4):
        one, other = points[i] - points[j], points[k] - points[m]
        numerator += float(one @ one * (other @ other))
        denominator += float((one @ other).square())
    value = float(corrected_participation_ratio(points).value)
    assert value == pytest.approx(numerator / denominator, rel=1e-10)


def test_gaussian_points_of_known_spectrum() -> None:
    variances = torch.tensor([4.0, 3, 2, 1, 0.5, 0.2], dtype=torch.float64)
    truth = float(variances.sum().square() / variances.square().sum())
    points = gaussian(150, 60, 6) * variances.sqrt()
    estimate, plain = corrected_participation_ratio(points), participation_ratio(points)
    assert float(estimate.value.mean()) == pytest.approx(truth, abs=0.1)
    assert float(plain.value.mean()) < truth - 0.1
    assert float(estimate.standard_error.mean() / estimate.value.std()) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(("freedom", "d"), [(3, 20), (4, 12)])
def test_standard_error_is_the_spread_with_heavy_tails(freedom: int, d: int) -> None:
    """To first order the error was 4.6 and 2.6 times the spread, since it kept a row's product with itself."""
    scale = gaussian(100, 100, freedom, seed=1).square().mean(-1, keepdim=True).sqrt()
    estimate = corrected_participation_ratio(gaussian(100, 100, d, seed=2) / scale)
    assert 0.6 < float(estimate.standard_error.mean() / estimate.value.std()) < 1.35


@pytest.mark.parametrize("d", [3, 30])
def test_standard_error_is_of_leaving_out_each_row(d: int) -> None:
    """Of unequal variances the terms of second order are small, and the plain jackknife is recomputed row by row."""
    points = gaussian(20, d, seed=3) * torch.linspace(0.3, 2, d) + 5
    rows = range(len(points))
    left_out = [points[[j for j in rows if j != i]] for i in rows]
    values = torch.stack([corrected_participation_ratio(some).value for some in left_out])
    jackknife = float((values.var(correction=0) * 19).sqrt())
    assert 0.65 * jackknife < float(corrected_participation_ratio(points).standard_error) < 1.05 * jackknife


def test_four_points_have_a_value_without_an_error() -> None:
    estimate = corrected_participation_ratio(gaussian(4, 2, seed=5))
    assert estimate.value.isfinite()
    assert estimate.standard_error.isnan()


def test_few_points_in_many_columns() -> None:
    points = gaussian(60, 20, 30)
    assert float(corrected_participation_ratio(points).value.median()) == pytest.approx(30, abs=3)
    assert float(participation_ratio(points).value.mean()) < 13


def test_many_points_have_little_bias() -> None:
    points = gaussian(5000, 8) * torch.linspace(1, 3, 8)
    plain = float(participation_ratio(points).value)
    assert float(corrected_participation_ratio(points).value) == pytest.approx(plain, abs=0.02)


def test_too_few_points() -> None:
    with pytest.warns(UserWarning, match="fewer than 4 distinct points"):
        estimate = corrected_participation_ratio(gaussian(3, 5))
    assert estimate.value.isnan()
    assert estimate.reason is not None
