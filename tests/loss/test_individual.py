"""The temperature of each anchor is the minimiser of its robust loss, which a fine grid finds too."""

import math

import pytest
import torch
from torch import Tensor

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss.individual import IndividualTemperature, individual_loss, solved_temperatures


def _leads(rows: int, columns: int, scale: float) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    leads = scale * torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    leads[:, 0] = -torch.inf
    return leads


def _robust(leads: Tensor, tau: Tensor, rho: float) -> Tensor:
    """Return F(τ) of each row, written out."""
    mean = (leads[:, 1:] / tau[:, None]).exp().mean(-1)
    return tau * mean.log() + rho * tau


@pytest.mark.parametrize("rho", [0.1, 1.0, 2.5])
@pytest.mark.parametrize("scale", [0.05, 0.5])
def test_no_point_of_a_grid_is_better(rho: float, scale: float) -> None:
    leads = _leads(20, 40, scale)
    tau = solved_temperatures(leads, rho, 0.005, 1.0)
    best = _robust(leads, tau, rho)
    grid = torch.logspace(math.log10(0.005), 0, 400, dtype=torch.float64)
    values = torch.stack([_robust(leads, point.expand(20), rho) for point in grid])
    assert (best <= values.amin(0) + 1e-12).all()
    inside = (tau > 0.0051) & (tau < 0.99)
    weights = (leads[:, 1:] / tau[:, None]).softmax(-1)
    divergence = (weights * (39 * weights).log()).sum(-1)
    torch.testing.assert_close(
        divergence[inside], torch.full_like(divergence[inside], rho), rtol=1e-8, atol=1e-8
    )


def test_temperatures_stay_within_their_limits() -> None:
    leads = _leads(5, 40, 0.5)
    assert (solved_temperatures(leads, 4.0, 0.005, 1.0) == 0.005).all()  # ρ above log 39
    assert (solved_temperatures(leads, 1e-3, 0.005, 1.0) == 1.0).all()


def test_anchors_with_more_similar_negatives_get_larger_temperatures() -> None:
    narrow, wide = _leads(20, 40, 0.05), _leads(20, 40, 0.5)
    taus = [solved_temperatures(leads, 1.0, 0.005, 1.0) for leads in (narrow, wide)]
    torch.testing.assert_close(taus[1], 10 * taus[0], rtol=1e-8, atol=0)


def test_float32_is_near_float64() -> None:
    x, y = torch.randn(2, 30, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(
        individual_loss(x.float(), y.float()).double(), individual_loss(x, y), rtol=1e-5, atol=0
    )


def test_limits_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"objective\.minimum=0\.5: must be at most objective\.maximum=0\.1"
    ):
        IndividualTemperature(minimum=0.5, maximum=0.1)
