"""Loss, temperature and similarities on a device are those of float64 on a CPU, gradients included."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, distributed

from intrinsic_clip.loss import (
    CosineSimilarity,
    FixedTemperature,
    LearnedTemperature,
    MovingAverageSimilarity,
    PopulationSimilarity,
    cross_entropy,
    info_nce,
)
from intrinsic_clip.loss.distributed import shared_info_nce

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
LOSSES: dict[str, Loss] = {
    "plain": info_nce,
    "chunked": lambda x, y, tau: info_nce(x, y, tau, chunk=7),
    "one way": lambda x, y, tau: cross_entropy(x[..., 4:20, :], y, tau, first=4),
    "one way, chunked": lambda x, y, tau: cross_entropy(x[..., 4:20, :], y, tau, first=4, chunk=5),
}


def with_gradients(loss: Loss, device: torch.device, dtype: torch.dtype) -> list[Tensor]:
    """Return losses of three replicates and the gradients of x, y and τ."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(3, 32, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    tau = torch.tensor([1.0, 0.3, 0.05], dtype=torch.float64)
    inputs = [each.to(device, dtype).requires_grad_() for each in (x, x + 0.5 * y, tau)]
    losses = loss(*inputs)
    losses.sum().backward()
    return [losses.detach(), *(each.grad for each in inputs)]


def assert_close(got: list[Tensor], expected: list[Tensor]) -> None:
    for left, right in zip(got, expected, strict=True):
        torch.testing.assert_close(left.cpu().double(), right, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_their_gradients(name: str, device: torch.device) -> None:
    expected = with_gradients(LOSSES[name], torch.device("cpu"), torch.float64)
    assert_close(with_gradients(LOSSES[name], device, torch.float32), expected)


@pytest.fixture
def _one_process(device: torch.device, monkeypatch) -> Iterator[None]:
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "lo")  # a machine may have no other network
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("_one_process")
@pytest.mark.parametrize("local_block", [False, True])
@pytest.mark.parametrize("chunk", [None, 7])
def test_the_loss_that_processes_share(device: torch.device, chunk: int | None, local_block: bool) -> None:
    expected = with_gradients(info_nce, torch.device("cpu"), torch.float64)

    def shared(x: Tensor, y: Tensor, tau: Tensor) -> Tensor:
        return shared_info_nce(x, y, tau, chunk, local_block)

    assert_close(with_gradients(shared, device, torch.float32), expected)


def test_half_precision_is_widened_before_the_logits(device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 8, generator=generator).bfloat16()
    tau = torch.tensor(0.01)
    expected = info_nce(x.double(), x.double(), tau.double())
    with torch.autocast(device.type, torch.bfloat16):
        loss = info_nce(x.to(device), x.to(device), tau.to(device))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.cpu().double(), expected, rtol=1e-4, atol=1e-5)


SIMILARITIES = {
    "population": PopulationSimilarity,
    "constant population": lambda: PopulationSimilarity(stop_gradient=True),
    "moving average": lambda: MovingAverageSimilarity(0.5, replicates=(2,)),
    "cosine": CosineSimilarity,
}


@pytest.mark.parametrize("name", SIMILARITIES)
def test_similarities_and_their_gradients(name: str, device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    rows, population = (torch.randn(2, 9, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    results = []
    for where, dtype in ((torch.device("cpu"), torch.float64), (device, torch.float32)):
        similarity = SIMILARITIES[name]().to(where, dtype)
        inputs = [each.detach().to(where, dtype).requires_grad_() for each in (rows, population)]
        outputs = similarity(inputs[0], population=inputs[1])
        outputs.square().sin().sum().backward()
        results.append([outputs.detach(), *(each.grad for each in inputs if each.grad is not None)])
    assert_close(results[1], results[0])


def test_temperatures(device: torch.device) -> None:
    learned = LearnedTemperature(scale=2.0, initial=-1.0, replicates=(3,)).to(device)
    learned().sum().backward()
    assert learned().cpu().tolist() == pytest.approx([torch.tensor(-2.0).exp().item() + 1e-4] * 3)
    assert learned.s.grad.cpu().tolist() == pytest.approx([2 * torch.tensor(-2.0).exp().item()] * 3)
    fixed = FixedTemperature(0.2, replicates=(2,)).to(device)()
    assert fixed.device.type == device.type
    assert fixed.cpu().tolist() == pytest.approx([0.2, 0.2])
