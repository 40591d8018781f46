"""Training against a plain loop written straight from the protocol."""

from collections.abc import Iterator
from functools import partial

import pandas as pd
import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import nn
from torch.nn.functional import cross_entropy

from intrinsic_clip import encoders
from intrinsic_clip.data import PairedData, Pairs, SyntheticIndependent, SyntheticNonlinear
from intrinsic_clip.loss import BarlowTwins
from intrinsic_clip.loss.similarity import CosineSimilarity, PopulationSimilarity
from intrinsic_clip.loss.temperature import FixedTemperature, LearnedTemperature
from intrinsic_clip.probes import JacobianProbe, TemperatureProbe
from intrinsic_clip.training.module import ContrastiveModule

SIZES = {"n_train": 512, "n_append": 64, "n_test": 50, "batch_size": 128, "d_x": 12, "d_y": 9}
ADAM = {"lr": 1e-3, "weight_decay": 1e-4}


def _module(
    similarity: torch.nn.Module, temperature: torch.nn.Module | None = None, chunk: int | None = None
) -> ContrastiveModule:
    torch.manual_seed(0)
    f, g = encoders.mlp(12, 7), encoders.mlp(9, 7)
    adam = partial(torch.optim.Adam, **ADAM)
    return ContrastiveModule(f, g, similarity, temperature or LearnedTemperature(), adam, chunk=chunk)


def _fit(module: ContrastiveModule, data: PairedData, epochs: int = 5, **limits: float) -> Trainer:
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        **limits,
    )
    trainer.fit(module, datamodule=data)
    return trainer


def _plain_loop(
    similarity: str, data: SyntheticNonlinear, epochs: int
) -> tuple[torch.nn.Module, torch.Tensor]:
    """Train by the paper's protocol, one Adam per part: normalise, S/τ, cross-entropy both ways."""
    torch.manual_seed(0)
    f, g, s = encoders.mlp(12, 7), encoders.mlp(9, 7), torch.nn.Parameter(torch.zeros(()))
    optimizers = [torch.optim.Adam(p, **ADAM) for p in (f.parameters(), g.parameters(), [s])]
    train, append = data.pairs("train"), data.pairs("append")
    targets = torch.arange(128)
    for _ in range(epochs):
        for start in range(0, 512, 128):
            fx, gy = f(train.x[start : start + 128]), g(train.y[start : start + 128])
            if similarity == "population":
                fx, gy = fx / f(append.x).norm(dim=1).mean(), gy / g(append.y).norm(dim=1).mean()
            else:
                fx, gy = fx / fx.norm(dim=1, keepdim=True), gy / gy.norm(dim=1, keepdim=True)
            logits = fx @ gy.T / (torch.exp(4 * s) + 1e-4)
            loss = (cross_entropy(logits, targets) + cross_entropy(logits.T, targets)) / 2
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
    return f, torch.exp(4 * s) + 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "similarity"), [("population", PopulationSimilarity()), ("cosine", CosineSimilarity())]
)
def test_training_is_the_protocol(name: str, similarity: torch.nn.Module) -> None:
    data = SyntheticNonlinear(**SIZES)
    module = _module(similarity)
    _fit(module, data)
    f, tau = _plain_loop(name, data, epochs=5)
    for ours, plain in zip(module.f.parameters(), f.parameters(), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(module.temperature(), tau, rtol=1e-5, atol=0)


@pytest.fixture
def in_double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.slow
@pytest.mark.usefixtures("in_double_precision")  # Adam magnifies the rounding of gradients near zero
@pytest.mark.parametrize("name", ["population", "cosine"])
def test_training_in_blocks_is_the_protocol(name: str) -> None:
    data = SyntheticNonlinear(**SIZES)
    module = _module(PopulationSimilarity() if name == "population" else CosineSimilarity(), chunk=50)
    _fit(module, data)
    f, tau = _plain_loop(name, data, epochs=5)
    for ours, plain in zip(module.f.parameters(), f.parameters(), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(module.temperature(), tau, rtol=1e-9, atol=0)


def test_representations_have_mean_norm_one_over_the_append_rows() -> None:
    data = SyntheticNonlinear(**SIZES)
    module = _module(PopulationSimilarity())
    _fit(module, data, epochs=1)
    append = data.pairs("append")
    x, y = module(append.x, append.y)
    assert float(x.norm(dim=-1).mean().detach()) == pytest.approx(1, rel=1e-5)
    assert float(y.norm(dim=-1).mean().detach()) == pytest.approx(1, rel=1e-5)
    torch.testing.assert_close(module.normalise(*module.encode(append.x, append.y)), (x, y))


class _Pictures(PairedData):
    """Images `(n, 3, 8, 8)` and tokens `(n, 5)`, as the rows of pixel data lie: along the first axis."""

    def __init__(self) -> None:
        super().__init__(batch_size=16)
        self.sizes = {"train": 32, "append": 12, "test": 10}
        self.d_x, self.d_y = (3, 8, 8), (5,)

    def load(self, device: torch.device) -> dict:
        generator = torch.Generator().manual_seed(0)
        return {
            split: Pairs(
                torch.rand(n, *self.d_x, generator=generator),
                torch.randint(9, (n, *self.d_y), generator=generator),
                row_axis=0,
            )
            for split, n in self.sizes.items()
        }


def _pixel_module(similarity: torch.nn.Module) -> ContrastiveModule:
    torch.manual_seed(0)
    f = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6)
    )
    g = nn.EmbeddingBag(9, 6)
    return ContrastiveModule(f, g, similarity, LearnedTemperature(), partial(torch.optim.Adam, **ADAM))


def test_images_and_tokens_get_the_population_norm_of_their_append_rows() -> None:
    data = _Pictures()
    module = _pixel_module(PopulationSimilarity())
    _fit(module, data, epochs=1)
    train, append = data.pairs("train"), data.pairs("append")
    x, y = module(train.x, train.y)
    torch.testing.assert_close(x, module.f(train.x) / module.f(append.x).norm(dim=1).mean())
    torch.testing.assert_close(y, module.g(train.y) / module.g(append.y).norm(dim=1).mean())


@pytest.mark.parametrize(("step", "expected"), [(0, [0, 1, 2, 3, 4]), (2, [10, 11, 0, 1, 2])])
def test_a_step_takes_some_of_the_append_images_in_a_circle(step: int, expected: list[int]) -> None:
    data = _Pictures()
    module = _pixel_module(PopulationSimilarity(rows=5))
    _fit(module, data, epochs=1)
    assert torch.equal(module._append_rows(module.x_append, step), data.pairs("append").x[expected])


def test_a_fixed_temperature_stays() -> None:
    module = _module(CosineSimilarity(), FixedTemperature(0.07))
    _fit(module, SyntheticNonlinear(**SIZES), epochs=1)
    assert float(module.temperature()) == pytest.approx(0.07)


def test_population_norm_without_append_rows_is_refused() -> None:
    with pytest.raises(MisconfigurationException, match=r"data\.n_append"):
        _fit(_module(PopulationSimilarity()), SyntheticNonlinear(**{**SIZES, "n_append": 0}))


def test_training_at_the_floor_of_tau_stays_finite() -> None:
    temperature = LearnedTemperature(initial=-10.0)  # τ = 1e-4 from the first step
    module = _module(PopulationSimilarity(), temperature)
    _fit(module, SyntheticNonlinear(**SIZES), epochs=3)
    assert all(torch.isfinite(parameter).all() for parameter in module.parameters())
    assert float(temperature().detach()) == pytest.approx(1e-4, rel=1e-3)


@pytest.mark.parametrize(
    ("limits", "steps"),
    [
        ({}, 12),
        ({"max_steps": 6}, 6),  # in the middle of the second epoch
        ({"max_steps": 100}, 12),
        ({"limit_train_batches": 3}, 9),
        ({"limit_train_batches": 0.5}, 6),
        ({"limit_train_batches": 1}, 3),
        ({"limit_train_batches": 1.0}, 12),
        ({"overfit_batches": 2}, 6),
    ],
)
def test_a_trainer_that_counts_batches_takes_as_many_steps(limits, steps) -> None:
    trainer = _fit(_module(CosineSimilarity()), SyntheticNonlinear(**SIZES), epochs=3, **limits)
    assert trainer.global_step == steps


@pytest.mark.parametrize("objective", [None, BarlowTwins()])
def test_a_temperature_that_is_passed_stands_for_a_module_s_own(objective, tmp_path) -> None:
    temperature = LearnedTemperature() if objective is None else None
    module = ContrastiveModule(
        encoders.linear(12, 7),
        encoders.linear(9, 7),
        CosineSimilarity(),
        temperature,
        partial(torch.optim.Adam, lr=1e-3),
        objective=objective,
    )
    probe = TemperatureProbe(tau=lambda module: torch.tensor(0.25))
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=CSVLogger(tmp_path),
        callbacks=[probe],
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(module, datamodule=SyntheticNonlinear(**SIZES))
    table = pd.read_csv(next(tmp_path.glob("**/metrics.csv")))
    logged = table[table.temperature.notna()]
    assert float(probe.latest["temperature"]) == 0.25
    assert set(logged.temperature) == {0.25}
    assert logged.loss.notna().all()
    assert float(probe.latest["loss"]) == pytest.approx(logged.loss.iloc[-1])


def test_jacobians_of_independent_data_have_ranks_and_no_overlap_with_a_latent() -> None:
    probe = JacobianProbe(max_points=8)
    data = SyntheticIndependent(n_train=128, n_append=16, n_test=50, batch_size=64, d_x=12, d_y=9)
    trainer = Trainer(accelerator="cpu", logger=False, callbacks=[probe], enable_progress_bar=False)
    trainer.test(_module(CosineSimilarity()), datamodule=data, verbose=False)
    assert float(probe.latest["jacobian/rank/x"]) == 7
    assert "jacobian/overlap/x" not in probe.latest
    assert probe.reasons == {}


@pytest.mark.parametrize("directions", [None, 4])
def test_jacobians_have_ranks_where_fewer_directions_are_known_than_the_latent_has(directions) -> None:
    probe = JacobianProbe(max_points=8, directions=directions)
    adam = partial(torch.optim.Adam, **ADAM)
    d = 3 if directions is None else 7  # of a latent of 5
    module = ContrastiveModule(
        encoders.mlp(12, d), encoders.mlp(9, d), CosineSimilarity(), LearnedTemperature(), adam
    )
    trainer = Trainer(accelerator="cpu", logger=False, callbacks=[probe], enable_progress_bar=False)
    trainer.test(module, datamodule=SyntheticNonlinear(**SIZES), verbose=False)
    assert float(probe.latest["jacobian/rank/x"]) == (directions or d)
    assert ("jacobian/overlap/x" in probe.latest) == (directions is None)
    assert probe.reasons == {}
