"""Kernels, which have first derivatives alone, refuse second ones instead of leaving them out."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from intrinsic_clip import encoders
from intrinsic_clip.encoders.chain import chain_of
from intrinsic_clip.encoders.replication import replicate
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.kernels import contrast, feed_forward, library
from intrinsic_clip.loss import info_nce

pytestmark = pytest.mark.skipif(library.compiler() is None, reason="there is no C++ compiler")


def _penalty(loss: Callable[[Tensor], Tensor], leaf: Tensor) -> Tensor:
    """Return the gradient of a squared gradient, where the loss depends on the leaf in other ways too."""
    whole = loss(leaf) * leaf.square().sum()
    gradient = torch.autograd.grad(whole, leaf, create_graph=True)[0]
    return torch.autograd.grad(gradient.square().sum(), leaf)[0]


@pytest.mark.parametrize("differentiated", ["rows", "τ"])
def test_info_nce_refuses_second_derivatives(differentiated: str) -> None:
    x, y = torch.randn(2, 8, 4, generator=torch.Generator().manual_seed(0))
    leaf = (x if differentiated == "rows" else torch.tensor(0.5)).requires_grad_()
    fixed = torch.tensor(0.5)
    given = (lambda rows: (rows, y, fixed)) if differentiated == "rows" else (lambda tau: (x, y, tau))
    assert _penalty(lambda each: info_nce(*given(each)), leaf).isfinite().all()
    with pytest.raises(ConfigError, match=r"^create_graph=True.*kernel of InfoNCE has not: set kernel=none$"):
        _penalty(lambda each: contrast.info_nce(*given(each)), leaf)


def test_encoders_refuse_second_derivatives() -> None:
    encoder = replicate(lambda d: encoders.mlp(5, d), 5, [0], (4,), ())
    chain, rows = chain_of(encoder), torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    assert chain is not None
    weight = encoder.layers[0].weight
    assert _penalty(lambda _: encoder(rows).square().sum(), weight).isfinite().all()
    with pytest.raises(
        ConfigError, match=r"^create_graph=True.*kernel of encoders has not: set kernel=none$"
    ):
        _penalty(lambda _: feed_forward.encode(chain, rows).square().sum(), weight)


def test_first_derivatives_stay_where_the_graph_is_kept() -> None:
    x, y = torch.randn(2, 8, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    losses = contrast.info_nce(x, y, torch.tensor(0.5))
    first, second = (torch.autograd.grad(losses, x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def _several(outputs: Tensor, leaf: Tensor, gradients: Tensor) -> Tensor:
    return torch.autograd.grad(outputs, leaf, grad_outputs=gradients, is_grads_batched=True)[0]


def test_info_nce_has_several_gradients_in_one_call() -> None:
    x, y = torch.randn(2, 3, 8, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    tau = torch.tensor(0.5)
    mine, plain = (
        _several(loss, x, torch.eye(3)) for loss in (contrast.info_nce(x, y, tau), info_nce(x, y, tau))
    )
    torch.testing.assert_close(mine, plain)


def test_encoders_refuse_several_gradients_in_one_call() -> None:
    encoder = replicate(lambda d: encoders.mlp(5, d), 5, [0], (4,), ())
    chain, rows = chain_of(encoder), torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    assert chain is not None
    outputs, weight = feed_forward.encode(chain, rows), encoder.layers[0].weight
    with pytest.raises(ConfigError, match=r"^is_grads_batched=True.*kernel of encoders.*: set kernel=none$"):
        _several(outputs, weight, torch.ones(2, *outputs.shape))
