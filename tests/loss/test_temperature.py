"""Temperatures: the formulas, their limits and what is trained."""

import math

import pytest
import torch

from intrinsic_clip.loss.temperature import (
    ClampedTemperature,
    FixedTemperature,
    LearnedTemperature,
    ScheduledTemperature,
    TemperaturePerDirection,
)


def test_temperature_is_exp_of_scaled_s_plus_floor() -> None:
    temperature = LearnedTemperature(scale=4, minimum=1e-4)
    assert temperature().item() == pytest.approx(1.0001)
    with torch.no_grad():
        temperature.s.fill_(-0.5)
    assert temperature().item() == pytest.approx(math.exp(-2) + 1e-4)
    with torch.no_grad():
        temperature.s.fill_(-1000.0)
    assert temperature().item() == pytest.approx(1e-4)
    assert LearnedTemperature(replicates=(3,))().shape == (3,)


def test_a_fixed_temperature_has_nothing_to_train() -> None:
    assert list(FixedTemperature(0.07).parameters()) == []
    assert float(FixedTemperature(0.07)()) == pytest.approx(0.07)


def test_a_clamped_temperature_stays_within_its_limits_and_comes_back() -> None:
    temperature = ClampedTemperature(initial=0.07, minimum=0.01, maximum=0.5, replicates=(3,))
    with torch.no_grad():
        temperature.t.copy_(torch.tensor([10.0, 2.0, -3.0]))
    assert temperature().tolist() == pytest.approx([0.01, math.exp(-2), 0.5])
    temperature().sum().backward()
    assert (temperature.t.grad < 0).all()  # at a limit too, so that a step may lead away from it
    with pytest.raises(ValueError, match=r"initial=1: must be between minimum=0\.01 and maximum="):
        ClampedTemperature(initial=1.0, maximum=0.5)


def test_evaluation_keeps_a_clamped_temperature_within_its_limits_and_does_not_move_it() -> None:
    """The last step of a training may lead beyond a limit, and no step follows that would cut it."""
    temperature = ClampedTemperature(maximum=0.5, replicates=(3,)).eval()
    behind = torch.tensor([10.0, 2.0, -3.0])
    with torch.no_grad():
        temperature.t.copy_(behind)
    assert temperature().tolist() == pytest.approx([0.01, math.exp(-2), 0.5])
    assert torch.equal(temperature.t, behind)


def test_directions_have_temperatures_of_their_own() -> None:
    temperature = TemperaturePerDirection(scale=2, replicates=(3,))
    with torch.no_grad():
        temperature.s[:, 1] = -1.0
    assert temperature().tolist() == [pytest.approx([1.0001] * 3), pytest.approx([math.exp(-2) + 1e-4] * 3)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"shape": "geometric"}, [1.0, 0.1, 0.01]),
        ({"shape": "cosine"}, [1.0, 0.505, 0.01]),
        ({"shape": "geometric", "half_cycles": 2}, [1.0, 0.01, 1.0]),
        ({"shape": "geometric", "half_cycles": 3}, [1.0, 0.1, 0.01]),  # half of the way back, then at the end
    ],
)
def test_a_schedule_leads_from_one_temperature_to_the_other(settings, expected) -> None:
    temperature = ScheduledTemperature(start=1.0, end=0.01, **settings)
    taus = []
    for share in (0.0, 0.5, 1.0):
        temperature.move_to(share)
        taus.append(float(temperature()))
    assert taus == pytest.approx(expected)
    assert list(temperature.parameters()) == []
