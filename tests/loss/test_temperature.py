"""Learned and fixed temperature: the formula, its limit and what is trained."""

import math

import pytest
import torch

from intrinsic_clip.loss.temperature import FixedTemperature, LearnedTemperature


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
