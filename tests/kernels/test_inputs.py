"""Kernels read numbers of other types as what they are, and refuse what they cannot read."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from intrinsic_clip import encoders
from intrinsic_clip.encoders.replication import replicate
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.kernels import contrast, library
from intrinsic_clip.loss import info_nce
from intrinsic_clip.loss.similarity import CosineSimilarity, PopulationSimilarity
from intrinsic_clip.loss.temperature import FixedTemperature, LearnedTemperature
from intrinsic_clip.training.module import ContrastiveModule

pytestmark = pytest.mark.skipif(library.compiler() is None, reason="there is no C++ compiler")
SIMILARITIES = {"whole": CosineSimilarity(), "by encoders": PopulationSimilarity(over="batch")}


class _ScaleOf(nn.Module):
    """A temperature exp(−t), whose t has a type of its own."""

    def __init__(self, dtype: torch.dtype, shape: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.t = nn.Parameter(torch.full(shape, 2.5, dtype=dtype))

    def forward(self) -> Tensor:
        return torch.exp(-self.t)


def _fixed(tau: Tensor) -> FixedTemperature:
    temperature = FixedTemperature(0.5)
    temperature.value = tau
    return temperature


TEMPERATURES = {
    "float64": lambda: _ScaleOf(torch.float64),
    "float64 of replicates": lambda: _ScaleOf(torch.float64, (3,)),
    "bfloat16": lambda: _ScaleOf(torch.bfloat16),
    "float16": lambda: _ScaleOf(torch.float16, (3,)),
    "whole number": lambda: _fixed(torch.tensor(2)),
    "the paper's in float64": lambda: LearnedTemperature(initial=-0.5, replicates=(3,)).double(),
    "the paper's in bfloat16": lambda: LearnedTemperature(initial=-0.5, replicates=(3,)).bfloat16(),
}


def _module(similarity: nn.Module, temperature: nn.Module) -> ContrastiveModule:
    f, g = (replicate(lambda d: encoders.mlp(k, d), k, [0, 1, 2], (4,), (3,)) for k in (12, 9))  # noqa: B023
    return ContrastiveModule(f, g, similarity, temperature, partial(torch.optim.Adam, lr=1e-3), kernel="cpp")


def _rows(x_width: int = 12, y_width: int = 9, n: int = 20) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(n, width, generator=generator) for width in (x_width, y_width) * 2]


def _differentiated(module: ContrastiveModule, kernel: bool) -> dict[str, Tensor]:
    module.zero_grad()
    if kernel:
        losses, tau = module.differentiation(module)(*_rows())
    else:
        losses, tau = module._losses(*_rows())
        losses.sum().backward()
    assert tau is not None
    gradients = {name: each.grad for name, each in module.named_parameters() if each.grad is not None}
    results = {"losses": losses, "tau": tau, **gradients}
    return {name: each.detach().double() for name, each in results.items()}


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("way", SIMILARITIES)
def test_temperatures_of_any_type(way: str, temperature: str) -> None:
    module = _module(SIMILARITIES[way], TEMPERATURES[temperature]())
    found, plain = (_differentiated(module, kernel) for kernel in (True, False))
    half = temperature.endswith("float16")
    for name in ("t", "s") if half else ():  # rounded to the few digits of the parameter
        torch.testing.assert_close(
            found.pop(f"temperature.{name}", 0), plain.pop(f"temperature.{name}", 0), rtol=0.02, atol=0.01
        )
    torch.testing.assert_close(found, plain, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1,), (2,), (1, 3)])
@pytest.mark.parametrize("way", SIMILARITIES)
def test_temperatures_of_other_shapes_are_refused_as_without_the_kernel(
    way: str, shape: tuple[int, ...]
) -> None:
    module = _module(SIMILARITIES[way], _ScaleOf(torch.float32, shape))
    for kernel in (True, False):
        with pytest.raises(ConfigError, match=r"τ of shape .*must be \(\*R,\)"):
            _differentiated(module, kernel)


def test_info_nce_of_a_float64_temperature_is_that_of_float32() -> None:
    x, y = torch.randn(2, 8, 4, generator=torch.Generator().manual_seed(0))
    tau = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    gradients = [
        torch.autograd.grad(function(x, y, tau), tau)[0] for function in (contrast.info_nce, info_nce)
    ]
    assert gradients[0].dtype == torch.float64
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=0)


def test_parameters_whose_numbers_move_within_an_epoch_are_read_where_they_are() -> None:
    module = _module(CosineSimilarity(), LearnedTemperature())
    kept = [each.data for each in module.parameters()]
    differentiated = module.differentiation(module)
    differentiated(*_rows())
    for parameter in module.parameters():
        parameter.data = parameter.data * 1.5
    losses, _ = differentiated(*_rows())
    results = [losses.detach(), *(each.grad.clone() for each in module.parameters() if each.grad is not None)]
    module.zero_grad()
    losses, _ = module._losses(*_rows())
    losses.sum().backward()
    plain = [losses.detach(), *(each.grad for each in module.parameters() if each.grad is not None)]
    torch.testing.assert_close(results, plain, rtol=2e-4, atol=1e-5)
    assert len(kept) == len(plain) - 1  # the old numbers are still there to be read by mistake
