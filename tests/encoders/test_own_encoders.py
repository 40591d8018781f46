"""An encoder of the user's is trained as it was written: every layer, in its order, and nothing that was frozen."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from intrinsic_clip.encoders.replication import ReplicatedFeedForward, replicate

ROWS = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))


def _one_activation(d: int) -> nn.Module:
    relu = nn.ReLU()
    return nn.Sequential(nn.Linear(4, 5), relu, nn.Linear(5, 5), relu, nn.Linear(5, d))


def _one_layer_twice(d: int) -> nn.Module:
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.ReLU(), layer, nn.Tanh(), nn.Linear(4, d))


def _one_weight_twice(d: int) -> nn.Module:
    encoder = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, d))
    encoder[2].weight = encoder[0].weight
    return encoder


class _WithSum(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x.sum(-1, keepdim=True)


class _Tripled(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 3 * super().forward(x)


class _Squared(nn.ReLU):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) ** 2


def _hooked(d: int) -> nn.Module:
    encoder = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, d))
    encoder[0].register_forward_hook(lambda module, inputs, outputs: outputs * 2)
    return encoder


def _replaced(d: int) -> nn.Module:
    encoder = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, d))
    encoder[1].forward = torch.cos
    return encoder


BUILDERS: dict[str, Callable[[int], nn.Module]] = {
    "one activation": _one_activation,
    "one layer twice": _one_layer_twice,
    "one weight twice": _one_weight_twice,
    "own forward": lambda d: _WithSum(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, d)),
    "own linear layer": lambda d: nn.Sequential(_Tripled(4, 5), nn.ReLU(), nn.Linear(5, d)),
    "own activation": lambda d: nn.Sequential(nn.Linear(4, 5), _Squared(), nn.Linear(5, d)),
    "orthogonal": lambda d: nn.Sequential(parametrizations.orthogonal(nn.Linear(4, 4)), nn.Linear(4, d)),
    "hooked": _hooked,
    "forward replaced": _replaced,
}


def _alone(name: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return BUILDERS[name](3)


@pytest.mark.parametrize(("seeds", "shape"), [((5,), ()), ((5, 6), (2,))])
@pytest.mark.parametrize("name", BUILDERS)
def test_it_computes_what_it_does_alone(name: str, seeds: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Compare after a step too: a weight that occurs twice must move as one, and an orthogonal one must stay so."""
    together, each = replicate(BUILDERS[name], 4, seeds, (3,), shape), [_alone(name, seed) for seed in seeds]
    _step(together)
    for module in each:
        _step(module)
    expected = torch.stack([module(ROWS) for module in each]).reshape(*shape, 7, 3)
    torch.testing.assert_close(together(ROWS), expected, rtol=1e-4, atol=1e-5)


def _step(module: nn.Module) -> None:
    module(ROWS).square().sum().backward()
    torch.optim.SGD(module.parameters(), lr=0.01).step()


class _Frozen(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 5).requires_grad_(False), nn.Linear(5, d)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x)))


def _frozen_first(d: int) -> nn.Module:
    encoder = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, d))
    encoder[0].requires_grad_(False)
    return encoder


@pytest.mark.parametrize("build", [_frozen_first, _Frozen])
@pytest.mark.parametrize(("dims", "shape"), [((3,), ()), ((3,), (1,)), ((2, 3), (2, 1))])
def test_frozen_layers_stay_frozen(
    build: Callable[[int], nn.Module], dims: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    together = replicate(build, 4, (5,), dims, shape)
    first, bias, *others = list(together.parameters())
    assert not first.requires_grad
    assert not bias.requires_grad
    assert all(parameter.requires_grad for parameter in others)
    before = first.clone()
    _step(together)
    assert torch.equal(first, before)


def test_hooks_on_weights_stay_or_are_refused() -> None:
    def build(d: int) -> nn.Module:
        encoder = nn.Sequential(nn.Linear(4, d))
        encoder[0].weight.register_hook(torch.zeros_like)
        return encoder

    alone = replicate(build, 4, (5,), (3,), ())
    alone(ROWS).sum().backward()
    assert not next(alone.parameters()).grad.any()
    with pytest.raises(ValueError, match="weights have hooks, which replicates would lose"):
        replicate(build, 4, (5, 6), (3,), (2,))


def test_plain_layers_stay_the_fast_form() -> None:
    assert isinstance(replicate(_one_activation, 4, (5,), (3,), ()), ReplicatedFeedForward)
