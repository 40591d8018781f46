"""A logit scale where a temperature is wanted is warned of."""

import warnings

import pytest
import torch
from pytorch_lightning import Trainer
from torch import nn

from helpers.manifolds import gaussian
from intrinsic_clip.loss import FixedTemperature, info_nce
from intrinsic_clip.metrics import infonce_bound
from intrinsic_clip.metrics.temperatures import doubted_temperature
from intrinsic_clip.probes import TemperatureProbe


@pytest.mark.parametrize("tau", [0.01, 0.07, 0.5, 1.0001, 1e-4 + 1e-9, torch.tensor([0.07, 1.5])])
def test_temperatures_are_not_doubted(tau) -> None:
    assert doubted_temperature(tau) is None


@pytest.mark.parametrize(
    ("tau", "right"),
    [
        (100.0, "1 / scale (0.01)"),
        (14.2857, "1 / scale (0.07)"),
        (2.6593, "exp(−2.659) = 0.07"),
        (4.605, "= 0.01"),
    ],
)
def test_the_right_temperature_is_named(tau: float, right: str) -> None:
    assert right in str(doubted_temperature(torch.tensor(tau)))


def test_each_way_to_give_a_temperature_warns() -> None:
    x = nn.functional.normalize(gaussian(20, 4), dim=1)
    with pytest.warns(UserWarning, match="looks like a logit scale"):
        infonce_bound(x, x, 100.0)
    with pytest.warns(UserWarning, match="looks like a logit scale"):
        info_nce(x, x, torch.tensor(4.6))
    with pytest.warns(UserWarning, match="looks like a logit scale"):
        FixedTemperature(14.3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        infonce_bound(x, x, 0.07)
        info_nce(x, x, torch.tensor(0.07))
        info_nce(x, x, torch.tensor([3.0]).squeeze().requires_grad_())
        FixedTemperature(0.07)


class Scaled(nn.Module):
    """A module with the parameter of CLIP models."""

    def __init__(self, logit_scale: float) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(logit_scale))


def test_the_probe_warns_of_a_scale_that_is_no_logarithm_and_of_a_tau_that_is_no_temperature() -> None:
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    with pytest.warns(UserWarning, match=r"pass tau=lambda module: 1 / module\.logit_scale"):
        TemperatureProbe().setup(trainer, Scaled(14.3), "fit")
    with pytest.warns(UserWarning, match="TemperatureProbe: tau = 14.29 looks like a logit scale"):
        TemperatureProbe(tau=lambda module: module.logit_scale.exp()).setup(trainer, Scaled(2.6593), "fit")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TemperatureProbe().setup(trainer, Scaled(2.6593), "fit")
