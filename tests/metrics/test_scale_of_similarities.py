"""The best τ follows the scale of the similarities, and bounds fitted at it do not change with that scale."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from helpers.manifolds import gaussian
from intrinsic_clip.metrics import (
    held_out_infonce_bound,
    infonce_bound,
    nwj_bound,
    optimal_temperature,
    smile_estimate,
)

SCALES = (1e-6, 0.003, 30.0, 1e6)
BOUNDS = (held_out_infonce_bound, nwj_bound, smile_estimate)


def pairs(noise: float = 1.0, unit: bool = True) -> tuple[Tensor, Tensor]:
    x = gaussian(300, 8)
    y = x + noise * gaussian(300, 8, seed=1)
    return (normalize(x, dim=-1), normalize(y, dim=-1)) if unit else (x, y)


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("scale", SCALES)
def test_best_temperature_scales_with_the_similarities(scale, unit) -> None:
    x, y = pairs(unit=unit)
    of_one = float(optimal_temperature(x, y, batch_size=100))
    assert float(optimal_temperature(scale * x, scale * y, 100)) == pytest.approx(scale**2 * of_one, rel=1e-6)
    assert float(optimal_temperature(scale * x, y, 100)) == pytest.approx(scale * of_one, rel=1e-6)


@pytest.mark.parametrize("estimate", BOUNDS)
@pytest.mark.parametrize("scale", SCALES)
def test_bounds_do_not_depend_on_the_scale(estimate, scale) -> None:
    x, y = pairs()
    expected = float(estimate(x, y).value)
    assert expected > 1
    assert float(estimate(scale * x, scale * y).value) == pytest.approx(expected, rel=1e-6)


def test_bound_of_matched_pairs_does_not_depend_on_the_scale() -> None:
    x = normalize(gaussian(200, 20), dim=-1)
    of_one, small, large = (
        float(held_out_infonce_bound(scale * x, scale * x).value) for scale in (1, *SCALES[::3])
    )
    assert of_one > math.log(100) - 0.1
    assert (small, large) == pytest.approx((of_one, of_one), rel=1e-4)


@pytest.mark.parametrize(
    ("dtype", "scales"),
    [(torch.float32, (1e-4, 1e4)), (torch.bfloat16, (1e-4, 1e4)), (torch.float16, (0.25, 30))],
)
def test_scale_counts_for_nothing_in_lower_precision(dtype, scales) -> None:
    x, y = pairs(unit=False)
    of_one = float(optimal_temperature(x, y))
    for scale in scales:
        low = (scale * x).to(dtype), (scale * y).to(dtype)
        assert float(optimal_temperature(*low)) == pytest.approx(scale**2 * of_one, rel=0.02)
        for estimate in BOUNDS[::2]:
            assert float(estimate(*low).value) == pytest.approx(float(estimate(x, y).value), abs=0.02)


def test_each_replicate_has_its_own_scale() -> None:
    x, y = pairs()
    scales = torch.tensor(SCALES, dtype=torch.float64)[:, None, None]
    taus = optimal_temperature(scales * x, scales * y) / scales.flatten().square()
    torch.testing.assert_close(taus, optimal_temperature(x, y).expand(4), rtol=1e-6, atol=0)
    bounds = held_out_infonce_bound(scales * x, scales * y).value
    torch.testing.assert_close(bounds, held_out_infonce_bound(x, y).value.expand(4), rtol=1e-6, atol=0)


@pytest.mark.parametrize("scale", SCALES)
def test_the_ends_mean_the_same_at_every_scale(scale) -> None:
    x, _ = pairs()
    assert optimal_temperature(scale * x, scale * x) == 0
    assert optimal_temperature(scale * x, -scale * x).isinf()
    assert nwj_bound(scale * x, -scale * x).value == 0


def test_what_all_rows_share_does_not_hide_the_scale() -> None:
    x, y = pairs()
    shared = 1e3 * torch.eye(9, dtype=torch.float64)[8]
    x_far, y_far = (torch.nn.functional.pad(side, (0, 1)) + shared for side in (x, y))
    assert float(optimal_temperature(x_far, y_far)) == pytest.approx(
        float(optimal_temperature(x, y)), rel=1e-5
    )
    assert float(nwj_bound(x_far, y_far).value) == pytest.approx(float(nwj_bound(x, y).value), rel=1e-3)


@pytest.mark.parametrize("size", [1.0, 1.1, 1e-4, 1e4])
def test_rows_that_are_all_alike_favour_no_partners(size) -> None:
    same = size * normalize(torch.ones(64, 100), dim=-1)
    assert optimal_temperature(same, same).isinf()
    assert float(held_out_infonce_bound(same, same).value) == float(nwj_bound(same, same).value) == 0


def test_the_best_temperature_is_where_the_loss_is_lowest_at_any_scale() -> None:
    x, y = pairs(0.7, unit=False)
    best = float(optimal_temperature(100 * x, 100 * y))
    losses = [-float(infonce_bound(100 * x / (ratio * best), y * 100, 1.0).mean) for ratio in (0.98, 1, 1.02)]
    assert losses[1] < min(losses[0], losses[2])
