"""Properties that all objectives share: replicates, precision, gradients, chunks, and batches at their limits."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from intrinsic_clip import loss
from intrinsic_clip.errors import ConfigError

OBJECTIVES: dict[str, Callable[..., nn.Module]] = {
    "infonce": loss.InfoNCE,
    "infonce, smoothed": lambda **given: loss.InfoNCE(label_smoothing=0.2, **given),
    "decoupled": loss.Decoupled,
    "cloob": loss.CLOOB,
    "sigmoid": loss.Sigmoid,
    "sigmoid, relative": lambda **given: loss.Sigmoid(relative=True, **given),
    "spectral": loss.Spectral,
    "spectral, limited": lambda: loss.Spectral(mu=0.5),
    "vicreg": loss.VICReg,
    "barlow_twins": loss.BarlowTwins,
    "dcca": loss.DCCA,
    "dcca, 2 components": lambda: loss.DCCA(components=2),
    "soft_dcca": loss.SoftDCCA,
    "alignment_uniformity": loss.AlignmentUniformity,
    "alignment_uniformity, α = 1": lambda **given: loss.AlignmentUniformity(exponent=1.0, **given),
    "triplet": loss.Triplet,
    "triplet, hardest": lambda **given: loss.Triplet(hardest=True, **given),
    "mse": loss.MSE,
    "cosine_regression": loss.CosineRegression,
    "temperature_free": loss.TemperatureFree,
    "individual": lambda **given: loss.IndividualTemperature(rho=0.8, **given),
    "uncertainty": loss.Uncertainty,
    "uncertainty, coordinate": lambda **given: loss.Uncertainty(source="coordinate", **given),
}
CHUNKED = [
    name
    for name in OBJECTIVES
    if not name.startswith(("spectral", "vicreg", "barlow", "dcca", "soft_dcca", "mse", "cosine_regression"))
]
ONE_ROW = {"infonce", "sigmoid", "mse", "cosine_regression", "temperature_free", "uncertainty"}


def _pairs(name: str, *shape: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Return paired representations, unit vectors where the objective is of cosines, and a τ per replicate."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(*shape, generator=generator, dtype=dtype)
    y = x + 0.5 * torch.randn(*shape, generator=generator, dtype=dtype)
    if "none" not in OBJECTIVES[name]().similarities:  # these are for normalised outputs
        x, y = normalize(x, dim=-1), normalize(y, dim=-1)
    tau = torch.linspace(0.2, 0.6, math.prod(shape[:-2]), dtype=dtype)
    return x, y, tau.reshape(shape[:-2])


def _losses(objective: nn.Module, x: Tensor, y: Tensor, tau: Tensor) -> Tensor:
    return objective(x, y, tau if objective.takes_temperature else None)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_replicates_are_those_alone(name: str) -> None:
    x, y, tau = _pairs(name, 2, 3, 12, 4)
    objective = OBJECTIVES[name]()
    losses = _losses(objective, x, y, tau)
    assert losses.shape == (2, 3)
    assert losses.unique().numel() == 6
    for i in range(2):
        for j in range(3):
            alone = _losses(objective, x[i, j], y[i, j], tau[i, j])
            torch.testing.assert_close(losses[i, j], alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_against_finite_differences(name: str) -> None:
    x, y, tau = (tensor.requires_grad_() for tensor in _pairs(name, 2, 6, 3))
    objective = OBJECTIVES[name]().double()
    assert torch.autograd.gradcheck(lambda *inputs: _losses(objective, *inputs), (x, y, tau), fast_mode=True)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_half_precision_outputs_and_autocast_change_no_digit(name: str) -> None:
    x, y, tau = _pairs(name, 16, 4, dtype=torch.float32)
    x, y = x.bfloat16(), y.bfloat16()
    objective = OBJECTIVES[name]()
    expected = _losses(objective, x.float(), y.float(), tau)
    assert expected.dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(_losses(objective, x, y, tau), expected)


@pytest.mark.parametrize("chunk", [1, 5, 12, 40])
@pytest.mark.parametrize("name", CHUNKED)
def test_chunks_change_neither_loss_nor_gradient(name: str, chunk: int) -> None:
    results = []
    for rows in (None, chunk):
        objective = OBJECTIVES[name](chunk=rows).double()
        inputs = [tensor.requires_grad_() for tensor in _pairs(name, 2, 12, 4)]
        losses = _losses(objective, *inputs)
        leaves = [*inputs, *(part for part in objective.parameters() if part.requires_grad)]
        gradients = torch.autograd.grad(losses.square().sum(), leaves, allow_unused=True)
        results.append([losses, *(part for part in gradients if part is not None)])
    for chunked, whole in zip(*results, strict=True):
        torch.testing.assert_close(chunked, whole, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("tau", [0.5, 1e-4])
@pytest.mark.parametrize("outputs", ["zero", "one point", "one point per modality", "two rows"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_collapsed_and_tiny_batches_have_finite_losses_and_gradients(
    name: str, outputs: str, tau: float
) -> None:
    x, y, _ = _pairs(name, 2 if outputs == "two rows" else 8, 4, dtype=torch.float32)
    if outputs == "zero":
        x, y = torch.zeros_like(x), torch.zeros_like(y)
    elif outputs == "one point":
        x = y = x[:1].repeat(8, 1)
    elif outputs == "one point per modality":
        x, y = x[:1].repeat(8, 1), -y[:1].repeat(8, 1)
    chunks: tuple[dict[str, int], ...] = ({}, {"chunk": 1}) if name in CHUNKED else ({},)
    for chunk in chunks:
        inputs = [
            x.clone().requires_grad_(),
            y.clone().requires_grad_(),
            torch.tensor(tau, requires_grad=True),
        ]
        objective = OBJECTIVES[name](**chunk)
        total = _losses(objective, *inputs)
        total.backward()
        assert total.isfinite()
        parts = [*inputs, *objective.parameters()]
        assert all(part.grad.isfinite().all() for part in parts if part.grad is not None)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_one_row_has_a_loss_or_a_clear_refusal(name: str) -> None:
    x, y, tau = _pairs(name, 1, 4)
    objective = OBJECTIVES[name]()
    if name.partition(",")[0] in ONE_ROW:
        assert _losses(objective, x, y, tau).isfinite()
    else:
        with pytest.raises(ConfigError, match=r"a batch of 1 row\(s\): .+ needs at least 2"):
            _losses(objective, x, y, tau)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_say_what_they_take(name: str) -> None:
    objective = OBJECTIVES[name]()
    assert isinstance(objective.takes_temperature, bool)
    raw = getattr(objective, "takes_raw", False)
    assert not raw or objective.similarities == {"cosine", "population", "none"}
    assert objective.similarities
    assert objective.similarities <= {"cosine", "population", "none"}
    x, y, tau = _pairs(name, 12, 4)
    assert _losses(objective, x, y, tau) < _losses(objective, x, y.roll(1, -2), tau), (
        "pairs are not told apart"
    )
