"""Trainings on a device: probes, resuming, half precision, and a step as one CUDA graph."""

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gpu_parts.steps import PLAIN_INSTEAD
from helpers.tiny_runs import TINY, without_time
from intrinsic_clip import encoders
from intrinsic_clip.loss import (
    CosineSimilarity,
    LearnedTemperature,
    MovingAverageSimilarity,
    PopulationSimilarity,
)
from intrinsic_clip.training.graphed import GraphedStep
from intrinsic_clip.training.module import ContrastiveModule
from intrinsic_clip.training.regularisation import InputNoise

pytestmark = pytest.mark.own_training
SHORT = [*TINY, "trainer.max_epochs=2", "compile=false"]


@pytest.fixture
def results(command_line: Callable[..., int], trainer: str) -> Callable[[str, Sequence[str]], dict]:
    """Train with settings on top, in a folder, and return results.json."""

    def run(folder: str, settings: Sequence[str]) -> dict:
        assert command_line("train", *SHORT, trainer, f"output_dir={folder}", *settings) == 0
        return json.loads(next(Path(folder).glob("*/*/results.json")).read_bytes())

    return run


def test_a_training_with_probes(results, device: torch.device) -> None:
    """Its first loss is that of float64 weights, and every probe gives numbers."""
    metrics = results("a", ["replicates=2", "encoder.output_dim=[3,6]", "probes=latent", "seed=3"])["metrics"]
    assert {
        "id/mle/x",
        "matching/top_1/x_to_y",
        "information/infonce_bound",
        "jacobian/rank/x",
        "temperature",
    } <= set(metrics)
    for name in ("id/mle/x", "alignment/cosine", "temperature", "recovery/linear/x"):
        values = torch.tensor(metrics[name]["values"])
        assert values.shape == (2, 2)
        assert values.isfinite().all()


def test_a_training_that_goes_on_from_a_checkpoint_repeats_it_bit_for_bit(
    results, trainer: str, monkeypatch
) -> None:
    whole = results("whole", [])
    fit_epoch = ContrastiveModule.training_step

    def interrupted(module: ContrastiveModule, *arguments: object) -> object:
        if module.current_epoch == 1:
            raise RuntimeError("out of power")
        return fit_epoch(module, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ContrastiveModule, "training_step", interrupted)
        with pytest.raises((RuntimeError, AssertionError)):
            results("resumed", [])
    assert list(Path("resumed").glob("*/*/last.ckpt"))
    resumed = results("resumed", [])
    assert resumed["timings"]["resumed"]
    for part in (whole, resumed):
        part["config"]["output_dir"] = ""
    assert without_time(resumed)["metrics"] == without_time(whole)["metrics"]


def test_half_precision(results, device: torch.device) -> None:
    metrics = results("half", ["trainer.precision=bf16-mixed"])["metrics"]
    assert all(torch.tensor(metrics[name]["values"]).isfinite().all() for name in ("temperature", "id/mle/x"))


@contextmanager
def _watched() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


SIMILARITIES = {
    "population": PopulationSimilarity,
    "some append rows": partial(PopulationSimilarity, rows=8),
    "moving average": MovingAverageSimilarity,
    "cosine": CosineSimilarity,
}


def steps(
    device: torch.device, similarity: str, graphed: bool, watched: bool = False
) -> tuple[list[Tensor], ContrastiveModule]:
    """Return the losses of a few steps, and what they have made of the module.

    Args:
        watched: make it an error if one of them waits for the device; the first, which captures a graph, may.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        f, g = encoders.mlp(5, 4), encoders.mlp(6, 4)
    optimizer = partial(torch.optim.Adam, lr=1e-2)
    module = ContrastiveModule(
        f, g, SIMILARITIES[similarity](), LearnedTemperature(), optimizer, graphed=graphed
    )
    module.to(device)
    generator = torch.Generator().manual_seed(0)
    x, x_append = (torch.randn(n, 5, generator=generator).to(device) for n in (40, 24))
    y, y_append = (torch.randn(n, 6, generator=generator).to(device) for n in (40, 24))
    moved, losses, noise = module.configure_optimizers(), [], InputNoise(0.01, seed=0)
    for start in (0, 8, 16, 24, 30):  # the last batch is of another size, and goes without the graph
        rows = slice(start, min(start + 8, 36))
        with _watched() if watched and losses else nullcontext():
            batch = noise.add(start, x[rows], y[rows])
            losses.append(module.differentiation(moved)(*batch, x_append[:8], y_append[:8])[0])
            moved.step()
    return losses, module


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_a_step_as_a_cuda_graph_does_what_a_plain_step_does(similarity: str, device: torch.device) -> None:
    plain, expected = steps(device, similarity, graphed=False)
    graphed, module = steps(device, similarity, graphed=True)
    assert module._graph is not None
    assert not module._graph.failed
    assert (module._graph._graph is not None) == (device.type == "cuda")
    torch.testing.assert_close(graphed, plain, rtol=1e-5, atol=1e-6)
    for got, wanted in zip(module.state_dict().values(), expected.state_dict().values(), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_a_step_that_looks_at_a_number_runs_without_a_graph(device: torch.device) -> None:
    module = torch.nn.Linear(2, 2).to(device)

    def step(*rows: Tensor) -> tuple[Tensor, Tensor]:
        losses = module(rows[0]).square().mean(-1)
        return losses / float(losses.mean()), losses

    graphed = GraphedStep(step, module)
    rows = torch.ones(3, 2, device=device)
    if device.type == "cuda":
        with pytest.warns(UserWarning, match="cannot be a CUDA graph"):
            assert graphed(rows, rows, rows, rows) is None
    assert graphed(rows, rows, rows, rows) is None
    step(rows)[0].sum().backward()  # the device still works


@pytest.mark.parametrize("graphed", [False, True])
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_no_step_waits_for_the_device(similarity: str, graphed: bool, device: torch.device) -> None:
    """PyTorch itself watches: while it does, an operation that waits is an error."""
    if device.type == "cpu":
        pytest.skip("there is nothing to wait for")
    steps(device, similarity, graphed, watched=True)


@pytest.mark.parametrize("way", ["cuda_graph=true", "kernel=triton", "kernel=triton cuda_graph=true"])
def test_another_way_to_take_steps_gives_the_numbers_of_the_plain_one(
    results, way: str, device: torch.device
) -> None:
    if device.type == "cpu":
        pytest.skip("a CPU has none of these ways, and would train the same twice")
    plain = results("plain", ["kernel=none", "replicates=3"])["metrics"]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", PLAIN_INSTEAD)
        other = results("other", [*way.split(), "replicates=3"])["metrics"]
    for name in ("temperature", "loss", "alignment/cosine"):
        assert other[name]["values"] == pytest.approx(plain[name]["values"], rel=1e-3)
    assert other["id/mle/x"]["values"] == pytest.approx(plain["id/mle/x"]["values"], rel=1e-2)
