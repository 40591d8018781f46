"""The encoders have the layers that the paper names."""

import pytest
import torch
from torch import nn

from intrinsic_clip import encoders


def _shapes(network: nn.Module) -> list[tuple[int, int, bool]]:
    return [
        (m.in_features, m.out_features, m.bias is not None)
        for m in network.modules()
        if isinstance(m, nn.Linear)
    ]


def _relus(network: nn.Module) -> int:
    return sum(isinstance(module, nn.ReLU) for module in network.modules())


def test_mlp() -> None:
    network = encoders.mlp(20, 19)
    assert _shapes(network) == [(20, 50, True), (50, 50, True), (50, 50, True), (50, 19, True)]
    assert _relus(network) == 3


def test_deep_has_twelve_linear_layers() -> None:
    network = encoders.deep(20, 7)
    assert _shapes(network) == [(20, 50, True), *[(50, 50, True)] * 10, (50, 7, True)]
    assert _relus(network) == 11


def test_shallow_and_linear() -> None:
    assert _shapes(encoders.shallow(200, 4, width=200)) == [(200, 200, False), (200, 4, True)]
    assert _relus(encoders.shallow(20, 4)) == 1
    assert _shapes(encoders.linear(20, 4)) == [(20, 50, False), (50, 4, False)]
    assert _relus(encoders.linear(20, 4)) == 0


@pytest.mark.parametrize("build", [encoders.mlp, encoders.deep, encoders.shallow, encoders.linear])
def test_leading_axes_pass_through(build) -> None:
    assert build(6, 3)(torch.zeros(2, 5, 10, 6)).shape == (2, 5, 10, 3)
