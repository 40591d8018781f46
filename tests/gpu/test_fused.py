"""The Triton kernel on a GPU computes what autograd does in float64; tests/encoders has it interpreted on a CPU."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from intrinsic_clip import encoders
from intrinsic_clip.encoders import blockwise_triton
from intrinsic_clip.encoders.replication import ReplicatedFeedForward, replicate

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU")
pytestmark = [pytest.mark.gpu, NO_GPU]
ENCODERS: dict[str, Callable[..., nn.Module]] = {
    "mlp": encoders.mlp,
    "shallow": encoders.shallow,
    "linear": encoders.linear,
}
ERRORS = {"highest": 2e-5, "high": 2e-2}  # relative to the largest number of a replicate's tensor
# A pre-activation within rounding of zero is on the other side of the ReLU than in float64, once in some million rows.
KINK = 2e-2


@pytest.mark.parametrize("precision", ERRORS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 150)])
@pytest.mark.parametrize("name", ENCODERS)
def test_outputs_norms_and_gradients(name: str, shape: tuple[int, ...], precision: str) -> None:
    dims = (5, 44) if len(shape) == 2 else (44,)
    seeds = range(shape[-1] if shape else 1)
    encoder = replicate(lambda d: ENCODERS[name](input_dim=20, output_dim=d), 20, tuple(seeds), dims, shape)
    assert isinstance(encoder, ReplicatedFeedForward)
    encoder.cuda()
    draw = partial(torch.randn, generator=torch.Generator("cuda").manual_seed(0), device="cuda")
    rows, population = draw(*shape[-1:], 256, 20), draw(*shape[-1:], 2000, 20)

    def results(outputs: torch.Tensor, norm: torch.Tensor) -> list[torch.Tensor]:
        ((outputs.sin() / norm[..., None, None]).square().mean((-1, -2)).sum() + norm.log().sum()).backward()
        gradients = [parameter.grad.clone() for parameter in encoder.parameters()]
        encoder.zero_grad()
        return [outputs.detach(), norm.detach(), *gradients]

    torch.set_float32_matmul_precision(precision)
    try:
        assert blockwise_triton.why_not(encoder, rows, population) is None
        got = results(*blockwise_triton.encode(encoder, rows, population))
    finally:
        torch.set_float32_matmul_precision("highest")
    encoder.double()
    norm = torch.linalg.vector_norm(encoder(population.double()), dim=-1).mean(-1)
    outputs, norms, *gradients = (
        _errors(*both, shape) for both in zip(got, results(encoder(rows.double()), norm), strict=True)
    )
    assert max(outputs.max(), norms.max()) <= ERRORS[precision]
    for errors in gradients:
        assert errors.max() <= max(KINK, ERRORS[precision])
        assert errors.median() <= ERRORS[precision] or len(errors) < 100


def _errors(got: torch.Tensor, expected: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Return the largest difference of each replicate, relative to its largest number."""
    difference, size = (
        each.reshape(math.prod(shape), -1).abs().amax(1) for each in (got - expected, expected)
    )
    return difference / size
