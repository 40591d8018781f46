"""InfoNCE against cross-entropy in float64 and closed forms, with τ down to its minimum."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss.info_nce import InfoNCE, info_nce


def _pairs(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(*shape, generator=generator)
    return x, x + 0.3 * torch.randn(*shape, generator=generator)


def _reference(x: torch.Tensor, y: torch.Tensor, tau: float) -> float:
    logits = x.double() @ y.double().T / tau
    targets = torch.arange(len(x))
    return float((cross_entropy(logits, targets) + cross_entropy(logits.T, targets)) / 2)


@pytest.mark.parametrize("tau", [1.0, 0.07, 1e-2])
def test_equals_cross_entropy_both_ways(tau: float) -> None:
    x, y = _pairs(64, 8)
    assert float(info_nce(x, y, torch.tensor(tau))) == pytest.approx(_reference(x, y, tau), rel=1e-5)


def test_replicates_are_independent() -> None:
    x, y = _pairs(3, 2, 32, 5)
    tau = torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 1.0]])
    losses = info_nce(x, y, tau)
    assert losses.shape == (3, 2)
    for i in range(3):
        for j in range(2):
            alone = info_nce(x[i, j], y[i, j], tau[i, j])
            torch.testing.assert_close(losses[i, j], alone, rtol=1e-6, atol=1e-6)


def test_closed_forms() -> None:
    n = 16
    constant = torch.ones(n, 4)
    assert float(info_nce(constant, constant, torch.tensor(0.5))) == pytest.approx(math.log(n))
    orthonormal, tau = torch.eye(n), 0.2
    expected = math.log(1 + (n - 1) * math.exp(-1 / tau))
    assert float(info_nce(orthonormal, orthonormal, torch.tensor(tau))) == pytest.approx(expected, rel=1e-5)


def test_is_symmetric_in_the_modalities() -> None:
    x, y = _pairs(40, 6)
    tau = torch.tensor(0.1)
    torch.testing.assert_close(info_nce(x, y, tau), info_nce(y, x, tau))


@pytest.mark.parametrize("tau", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_stays_finite_and_right_as_tau_goes_to_its_floor(tau: float, scale: float) -> None:
    x, y = (rows * scale for rows in _pairs(256, 19))
    x.requires_grad_()
    temperature = torch.tensor(tau, requires_grad=True)
    loss = info_nce(x, y, temperature)
    loss.backward()
    assert x.grad is not None
    assert temperature.grad is not None
    assert torch.isfinite(loss)
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(temperature.grad)
    assert float(loss.detach()) == pytest.approx(_reference(x.detach(), y, tau), rel=1e-4)


def test_gradient_against_finite_differences() -> None:
    x, y = (rows.double().requires_grad_() for rows in _pairs(2, 6, 3))
    tau = torch.tensor([0.3, 0.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(info_nce, (x, y, tau))


@pytest.mark.parametrize("chunk", [None, 7])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_label_smoothing_is_that_of_cross_entropy_both_ways(smoothing: float, chunk: int | None) -> None:
    x, y = (rows.double().requires_grad_() for rows in _pairs(30, 6))
    tau = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    logits, targets = x @ y.T / tau, torch.arange(30)
    both = [cross_entropy(side, targets, label_smoothing=smoothing) for side in (logits, logits.T)]
    expected = sum(both) / 2
    actual = info_nce(x, y, tau, chunk, label_smoothing=smoothing)
    torch.testing.assert_close(actual, expected)
    gradients = [torch.autograd.grad(loss, (x, y, tau)) for loss in (actual, expected)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("chunk", [None, 7])
def test_a_temperature_per_direction(chunk: int | None) -> None:
    x, y = _pairs(3, 30, 6)
    tau = torch.tensor([[0.1, 0.2, 0.3], [1.0, 0.7, 0.5]])
    losses = info_nce(x, y, tau, chunk, label_smoothing=0.2)
    assert losses.shape == (3,)
    for r in range(3):
        logits, targets = x[r] @ y[r].T, torch.arange(30)
        x_to_y = cross_entropy(logits / tau[0, r], targets, label_smoothing=0.2)
        y_to_x = cross_entropy(logits.T / tau[1, r], targets, label_smoothing=0.2)
        torch.testing.assert_close(losses[r], (x_to_y + y_to_x) / 2)


def test_equal_temperatures_per_direction_are_one() -> None:
    x, y = _pairs(2, 30, 6)
    tau = torch.tensor([0.1, 0.2])
    torch.testing.assert_close(info_nce(x, y, torch.stack([tau, tau])), info_nce(x, y, tau))


def test_three_temperatures_for_two_directions_are_refused() -> None:
    x, y = _pairs(2, 30, 6)
    with pytest.raises(ConfigError, match=r"must be \(\*R,\), or \(2, \*R\)"):
        info_nce(x, y, torch.ones(3, 2))


def test_the_module_at_its_defaults_is_the_function() -> None:
    x, y = _pairs(2, 30, 6)
    tau = torch.tensor([0.05, 0.2])
    assert torch.equal(InfoNCE()(x, y, tau), info_nce(x, y, tau))
    assert torch.equal(InfoNCE(chunk=7)(x, y, tau), info_nce(x, y, tau, 7))


def test_local_blocks_know_no_smoothing() -> None:
    with pytest.raises(ConfigError, match=r"objective\.label_smoothing: does not go together with"):
        InfoNCE(label_smoothing=0.1, local_block=True)
