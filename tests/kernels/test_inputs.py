"""Kernels read numbers of other types as what they are, and refuse what they cannot read."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from intrinsic_clip import encoders
from intrinsic_clip.encoders.chain import chain_of
from intrinsic_clip.encoders.replication import replicate
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.kernels import contrast, feed_forward, library
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


X, Y = torch.randn(2, 8, 4, generator=torch.Generator().manual_seed(0))
REFUSED = {
    "float64": (X.double(), Y.double(), "float64 on cpu: the C\\+\\+ kernel takes float32"),
    "mixed": (X, Y.bfloat16(), "bfloat16 on cpu"),
    "other device": (X.to("meta"), Y, "on meta"),
    "fewer rows": (X, Y[:4], "must be .* alike"),
    "narrower": (X, Y[:, :3], "must be .* alike"),
    "empty": (X[:0], Y[:0], "at least one row"),
    "no columns": (X[:, :0], Y[:, :0], "at least one column"),
    "one axis": (X[0], Y[0], "takes .*n, d"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_info_nce_refuses_what_it_cannot_read(case: str) -> None:
    x, y, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message):
        contrast.info_nce(x, y, torch.tensor(0.5))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (torch.ones(6, 5).double(), "float64 on cpu"),
        (torch.ones(6, 4), "and 5 columns"),
        (torch.ones(0, 5), "at least one row"),
        (torch.ones(6, 5, requires_grad=True), "parameters alone"),
    ],
    ids=["float64", "narrower", "empty", "differentiated"],
)
def test_encoders_refuse_what_they_cannot_read(rows: Tensor, message: str) -> None:
    chain = chain_of(replicate(lambda d: encoders.mlp(5, d), 5, [0], (4,), ()))
    assert chain is not None
    with pytest.raises(ConfigError, match=message):
        feed_forward.encode(chain, rows)


@pytest.mark.parametrize("way", SIMILARITIES)
def test_steps_refuse_rows_of_another_width_and_empty_batches(way: str) -> None:
    module = _module(SIMILARITIES[way], LearnedTemperature())
    differentiated = module.differentiation(module)
    for rows in (_rows(11), _rows(y_width=10), _rows(n=0)):
        with pytest.raises(ConfigError, match=r"the C\+\+ kernel takes"):
            differentiated(*rows)
    with pytest.raises(ConfigError, match="must be"):
        differentiated(_rows()[0], _rows(n=19)[1], *_rows()[2:])


class _Doubled(nn.Module):
    """A normalisation whose results are in float64."""

    needs_population = False

    def forward(self, outputs: Tensor, population: Tensor | None = None) -> Tensor:
        return nn.functional.normalize(outputs.double(), dim=-1)


def test_representations_in_float64_are_left_to_pytorch() -> None:
    module = _module(_Doubled(), LearnedTemperature())
    found, plain = (_differentiated(module, kernel) for kernel in (True, False))
    torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-5)
