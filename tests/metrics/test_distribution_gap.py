"""The energy distance against scipy, closed forms and itself in blocks."""

import math

import pytest
import torch
from scipy.stats import energy_distance as by_scipy
from torch.nn.functional import normalize

from helpers.manifolds import gaussian
from intrinsic_clip.metrics import distribution_gap, energy_distance, modality_gap


def test_equals_scipy_but_for_the_pairs_that_bias_it() -> None:
    n = 60
    x, y = gaussian(n, 1), 1.5 * gaussian(n, 1, seed=1) + 0.3
    biased = by_scipy(x[:, 0].numpy(), y[:, 0].numpy()) ** 2
    partners = float((x - y).abs().sum())
    assert float(energy_distance(x, y)) == pytest.approx(n / (n - 1) * biased - 2 * partners / (n * (n - 1)))


def test_shifted_gaussians_in_closed_form_without_bias() -> None:
    shift = 1.0
    x, y = gaussian(400, 50, 1), gaussian(400, 50, 1, seed=1) + shift
    # E|N(δ, 2)| for the cross term, 2 / √π for the others
    cross = 2 / math.sqrt(math.pi) * math.exp(-(shift**2) / 4) + shift * math.erf(shift / 2)
    values = energy_distance(x, y)
    error = 3 * float(values.std()) / 20
    assert float(values.mean()) == pytest.approx(2 * cross - 4 / math.sqrt(math.pi), abs=error)


def test_one_distribution_scatters_about_0() -> None:
    values = distribution_gap(gaussian(100, 60, 5), gaussian(100, 60, 5, seed=1))
    assert abs(float(values.mean())) < 3 * float(values.std()) / 10
    assert float(values.min()) < 0
    x = gaussian(50, 4)
    assert float(distribution_gap(x, 7 * x)) == pytest.approx(0, abs=1e-12)


def test_sees_what_the_gap_of_means_does_not() -> None:
    x, y = gaussian(800, 3), gaussian(800, 3, seed=1)
    y[:, 2] = 0
    assert float(modality_gap(x, y)) < 0.1
    assert float(distribution_gap(x, y)) > 0.05


def test_opposite_points_are_farthest() -> None:
    x = normalize(torch.ones(6, 3), dim=-1)
    assert float(distribution_gap(x, -2 * x)) == pytest.approx(4)


def test_replicates_blocks_scales_and_broken_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = gaussian(2, 3, 40, 4), gaussian(2, 3, 40, 4, seed=1) + 1
    together = distribution_gap(x, y)
    assert together.shape == (2, 3)
    torch.testing.assert_close(distribution_gap(1e-30 * x, 1e30 * y), together)
    monkeypatch.setattr("intrinsic_clip.metrics.row_blocks.CACHE_BYTES", 0)
    monkeypatch.setattr("intrinsic_clip.metrics.row_blocks.FEW", 7)
    torch.testing.assert_close(distribution_gap(x[1, 2], y[1, 2]), together[1, 2])
    x[0, 0, 3, 1] = math.nan
    assert distribution_gap(x, y).isnan().sum() == 1


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="at least 2 rows"):
        distribution_gap(torch.ones(1, 2), torch.ones(1, 2))
    with pytest.raises(ValueError, match="alike and not empty"):
        energy_distance(torch.ones(3, 2), torch.ones(3, 1))
