"""The sigmoid loss equals open_clip's SigLipLoss, whole and in chunks, gradients included, in much less memory."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from intrinsic_clip.loss.sigmoid import Sigmoid, sigmoid_loss

MEMORY = """
import resource, torch
from intrinsic_clip.loss import sigmoid_loss

peak = lambda: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
tau, bias = torch.tensor(0.1, requires_grad=True), torch.tensor(-10.0, requires_grad=True)
sigmoid_loss(*torch.randn(2, 64, 8).requires_grad_(), tau, bias, chunk=32).backward()
peak()
sigmoid_loss(*torch.randn(2, 6144, 32).requires_grad_(), tau, bias, chunk=128).backward()
peak()
"""


def _pairs(*shape: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(*shape, generator=generator, dtype=dtype)
    y = x + 0.5 * torch.randn(*shape, generator=generator, dtype=dtype)
    return normalize(x, dim=-1), normalize(y, dim=-1)


@pytest.mark.parametrize("chunk", [None, 7, 16])
@pytest.mark.parametrize(("tau", "bias"), [(0.1, -10.0), (1.0, 0.0), (0.01, -50.0)])
def test_equals_siglip_of_open_clip(tau: float, bias: float, chunk: int | None) -> None:
    siglip = pytest.importorskip("open_clip.loss").SigLipLoss()
    x, y = (rows.requires_grad_() for rows in _pairs(33, 8, dtype=torch.float64))
    logit_scale, logit_bias = (
        torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (1 / tau, bias)
    )
    leaves = (x, y, logit_scale, logit_bias)
    theirs = siglip(x, y, logit_scale, logit_bias)
    expected = torch.autograd.grad(theirs, leaves)
    ours = sigmoid_loss(x, y, 1 / logit_scale, logit_bias, chunk)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    for actual, gradient in zip(torch.autograd.grad(ours, leaves), expected, strict=True):
        torch.testing.assert_close(actual, gradient, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("chunk", [None, 5])
def test_a_relative_bias_is_subtracted_from_the_similarity(chunk: int | None) -> None:
    x, y = _pairs(2, 12, 4, dtype=torch.float64)
    tau, bias = torch.tensor([0.1, 0.3]).double(), torch.tensor([0.2, 1.0]).double()
    relative = sigmoid_loss(x, y, tau, bias, chunk, relative=True)
    torch.testing.assert_close(relative, sigmoid_loss(x, y, tau, -bias / tau, chunk))


def test_both_forms_start_alike_at_the_published_temperature() -> None:
    x, y = _pairs(12, 4)
    raw, relative = Sigmoid(), Sigmoid(relative=True)
    torch.testing.assert_close(raw(x, y, torch.tensor(0.1)), relative(x, y, torch.tensor(0.1)))


@pytest.mark.parametrize("learn_bias", [True, False])
def test_the_bias_is_learned_per_replicate_or_fixed(learn_bias: bool) -> None:
    objective = Sigmoid(bias=-3.0, learn_bias=learn_bias, replicates=(2,))
    x, y = (rows.requires_grad_() for rows in _pairs(2, 12, 4))
    objective(x, y, torch.tensor([0.1, 0.2])).sum().backward()
    assert objective.bias.tolist() == [-3.0, -3.0]
    assert (objective.bias.grad is not None) == learn_bias
    if learn_bias:
        assert objective.bias.grad[0] != objective.bias.grad[1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="units of ru_maxrss")
def test_chunks_take_less_memory_than_the_logits() -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    before, peak = (1024 * int(line) for line in done.stdout.split())
    assert peak - before < 0.5 * 4 * 6144**2
