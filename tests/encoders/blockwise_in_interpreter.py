"""Compare the Triton kernel, interpreted on a CPU, with autograd in float64: a program, as Triton decides at import."""

import itertools
import warnings
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from intrinsic_clip import encoders
from intrinsic_clip.encoders import blockwise_triton
from intrinsic_clip.encoders.replication import ReplicatedFeedForward, replicate
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss import CosineSimilarity, LearnedTemperature, PopulationSimilarity
from intrinsic_clip.training.module import ContrastiveModule

ENCODERS = {
    "mlp": partial(encoders.mlp, width=6),
    "shallow": partial(encoders.shallow, width=7),
    "linear": partial(encoders.linear, width=5),
    "one layer": lambda input_dim, output_dim: nn.Sequential(nn.Linear(input_dim, output_dim)),
}


def copies(build: partial, shape: tuple[int, ...], widths: tuple[int, ...]) -> ReplicatedFeedForward:
    encoder = replicate(lambda d: build(input_dim=5, output_dim=d), 5, (0, 1, 2), widths, shape)
    assert isinstance(encoder, ReplicatedFeedForward)
    return encoder


def combined(outputs: Tensor, norm: Tensor) -> Tensor:
    """Return a number that depends on all outputs and all norms."""
    return (outputs.sin() / norm[..., None, None]).square().sum() + norm.log().sum()


def reference(encoder: ReplicatedFeedForward, rows: Tensor, population: Tensor) -> list[Tensor]:
    encoder.double()
    encoder.zero_grad()
    outputs = encoder(rows.double())
    norm = torch.linalg.vector_norm(encoder(population.double()), dim=-1).mean(-1)
    combined(outputs, norm).backward()
    results = [
        outputs.detach(),
        norm.detach(),
        *(parameter.grad.clone() for parameter in encoder.parameters()),
    ]
    encoder.float()
    return results


def fused(encoder: ReplicatedFeedForward, rows: Tensor, population: Tensor) -> list[Tensor]:
    encoder.zero_grad()
    assert blockwise_triton.why_not(encoder, rows, population) is None
    outputs, norm = blockwise_triton.encode(encoder, rows, population)
    combined(outputs, norm).backward()
    return [outputs.detach(), norm.detach(), *(parameter.grad for parameter in encoder.parameters())]


def steps_are_those_of_pytorch() -> None:
    """Check losses and gradients of a training's step, with and without a population."""
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(0))
    rows = draw(8, 5), draw(8, 5), draw(20, 5), draw(20, 5)
    for similarity in (PopulationSimilarity(), PopulationSimilarity(stop_gradient=True), CosineSimilarity()):
        both = []
        for kernel in ("none", "triton"):
            module = ContrastiveModule(
                copies(ENCODERS["mlp"], (3,), (4,)),
                copies(ENCODERS["mlp"], (3,), (4,)),
                similarity,
                LearnedTemperature(replicates=(3,)),
                torch.optim.Adam,
                kernel=kernel,
            )
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                losses, tau = module._step(*rows)
            losses.sum().backward()
            both.append([losses.detach(), tau.detach(), *(each.grad for each in module.parameters())])
        for plain, got in zip(*both, strict=True):
            torch.testing.assert_close(got, plain, rtol=1e-4, atol=1e-5)


def main() -> None:
    """Check every encoder with shared and own rows, and rows that fill no block."""
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, generator=generator)
    for (name, build), own in itertools.product(ENCODERS.items(), (False, True)):
        encoder = copies(build, (2, 3), (4, 4) if name == "one layer" else (2, 4))
        shape = (3,) if own else ()
        rows, population = draw(*shape, 9, 5), draw(*shape, 70, 5)
        expected = reference(encoder, rows, population)
        for got, wanted in zip(fused(encoder, rows, population), expected, strict=True):
            assert torch.allclose(got.double(), wanted, rtol=1e-4, atol=1e-5), name
    encoder = copies(ENCODERS["mlp"], (3,), (4,))
    outputs, norm = blockwise_triton.encode(
        encoder, draw(9, 10)[:, :5], draw(3, 20, 5).mT.contiguous().mT, True
    )
    assert norm is not None
    assert not norm.requires_grad
    assert outputs.requires_grad
    with pytest.raises(ConfigError, match="the Triton kernel of encoders has not: set kernel=none"):
        torch.autograd.grad(outputs.square().sum(), encoder.layers[0].weight, create_graph=True)
    assert blockwise_triton.encode(encoder, draw(9, 5))[1] is None
    assert "no chain" in str(blockwise_triton.why_not(nn.Linear(5, 4), draw(9, 5)))
    steps_are_those_of_pytorch()
    print("all is as autograd has it")


if __name__ == "__main__":
    main()
