"""Arguments that make no sense are refused in one line, in functions and in constructors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from intrinsic_clip import loss
from intrinsic_clip.errors import ConfigError

X, Y = torch.randn(2, 8, 4, generator=torch.Generator().manual_seed(0))
TAU = torch.tensor(0.1)

OF_PAIRS: dict[str, Callable[..., Tensor]] = {
    "info_nce": lambda x, y, **given: loss.info_nce(x, y, TAU, **given),
    "decoupled_info_nce": lambda x, y, **given: loss.decoupled_info_nce(x, y, TAU, **given),
    "cloob_loss": lambda x, y, **given: loss.cloob_loss(x, y, TAU, torch.tensor(8.0), **given),
    "sigmoid_loss": lambda x, y, **given: loss.sigmoid_loss(x, y, TAU, torch.tensor(-10.0), **given),
    "alignment_uniformity_loss": loss.alignment_uniformity_loss,
    "triplet_loss": loss.triplet_loss,
    "temperature_free_loss": loss.temperature_free_loss,
    "individual_loss": loss.individual_loss,
    "uncertainty_loss": loss.uncertainty_loss,
    "spectral_loss": loss.spectral_loss,
    "vicreg_loss": loss.vicreg_loss,
    "barlow_twins_loss": loss.barlow_twins_loss,
    "dcca_loss": loss.dcca_loss,
    "soft_dcca_loss": loss.soft_dcca_loss,
    "mse_loss": loss.mse_loss,
    "cosine_regression_loss": loss.cosine_regression_loss,
    "sum_over_pairs": lambda x, y, **given: loss.sum_over_pairs([x, y], TAU, **given),
    "anchored": lambda x, y, **given: loss.anchored([x, y], TAU, **given),
    "symile": lambda x, y: loss.symile([x, y], TAU),
    "gram": lambda x, y: loss.gram([x, y], TAU),
}
CHUNKED = [name for name in OF_PAIRS if name not in ("symile", "gram")][:9]


@pytest.mark.parametrize("name", OF_PAIRS)
def test_rows_without_partners_and_what_is_no_tensor_are_refused(name: str) -> None:
    function = OF_PAIRS[name]
    assert function(X, Y).isfinite()
    for y in (Y[:5], Y[:1], Y.expand(2, 8, 4)):
        with pytest.raises(ConfigError, match=r"of shape.* and .*belongs to row i"):
            function(X, y)
    with pytest.raises(ConfigError, match=r"must be a PyTorch tensor, got numpy\.ndarray"):
        function(X.numpy(), Y.numpy())
    for rows in (X[0], X[:0]):
        with pytest.raises(ConfigError, match="with at least one row and column"):
            function(rows, rows)


@pytest.mark.parametrize("chunk", [-3, 0, 2.5, True])
@pytest.mark.parametrize("name", CHUNKED)
def test_a_chunk_is_a_number_of_rows(name: str, chunk: float) -> None:
    with pytest.raises(ConfigError, match=f"chunk={chunk}: must be None or a whole number of at least 1"):
        OF_PAIRS[name](X, Y, chunk=chunk)


def test_numbers_of_python_serve_for_tensors() -> None:
    assert torch.equal(loss.info_nce(X, Y, 0.1), loss.info_nce(X, Y, TAU))
    expected = loss.sigmoid_loss(X, Y, TAU, torch.tensor(-10.0))
    assert torch.equal(loss.sigmoid_loss(X, Y, 0.1, -10), expected)
    assert torch.equal(loss.decoupled_info_nce(X, Y, 0.1), loss.decoupled_info_nce(X, Y, TAU))
    assert loss.gram([X, Y], 0.1).isfinite()


@pytest.mark.parametrize(
    "tau", [-1.0, 0.0, float("nan"), torch.tensor(-1.0), torch.ones(3), np.ones(1), None]
)
def test_what_is_no_temperature_is_refused(tau: object) -> None:
    calls: list[Callable[[], Tensor]] = [
        lambda: loss.info_nce(X, Y, tau),  # type: ignore[arg-type]
        lambda: loss.sigmoid_loss(X, Y, tau, -10.0),  # type: ignore[arg-type]
        lambda: loss.cloob_loss(X, Y, tau, 8.0),  # type: ignore[arg-type]
        lambda: loss.symile([X, Y], tau),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(ConfigError, match=r"^τ"):
            call()


def test_a_part_of_a_batch_needs_the_partners_of_its_rows() -> None:
    assert loss.cross_entropy(X[:3], Y, TAU, 5).isfinite()
    for first in (-1, 6):
        with pytest.raises(ConfigError, match="must hold the partners"):
            loss.cross_entropy(X[:3], Y, TAU, first)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: loss.info_nce(X, Y, 0.1, label_smoothing=2),
            "label_smoothing=2: must be at least 0 and below 1",
        ),
        (lambda: loss.triplet_loss(X, Y, margin=-1), "margin=-1: must be at least 0"),
        (lambda: loss.vicreg_loss(X, Y, invariance=-1), "invariance=-1: must be at least 0"),
        (lambda: loss.uncertainty_loss(X, Y, "lenght"), "source='lenght': must be 'length' or 'coordinate'"),
        (lambda: loss.individual_loss(X, Y, minimum=2), "minimum=2: must be at most maximum=1.0"),
        (lambda: loss.anchored([X, Y], TAU, 2), "anchor=2: must be a place among the 2 modalities"),
        (
            lambda: loss.VICReg(invariance=-1),
            "objective.invariance=-1: input should be greater than or equal to 0",
        ),
        (lambda: loss.InfoNCE(chunk=0), "objective.chunk=0: input should be greater than 0"),
        (
            lambda: loss.FixedTemperature(-1.0),
            "objective.temperature.tau=-1.0: input should be greater than 0",
        ),
        (
            lambda: loss.FixedTemperature(float("inf")),
            "objective.temperature.tau=inf: must be a finite number",
        ),
        (lambda: loss.TemperaturePerDirection(scale=-1), "objective.temperature.scale=-1"),
        (lambda: loss.Uncertainty("lenght"), "input should be 'length' or 'coordinate'"),
        (lambda: loss.Sigmoid(bias=-10, relative=True), "objective.bias=-10: with objective.relative=true"),
        (lambda: loss.VICReg(torch.ones(2)), "objective.invariance: a Tensor is not a setting"),
    ],
)
def test_settings_out_of_range_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        call()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "order",
    [
        torch.arange(7),
        torch.arange(8.0),
        torch.zeros(8, dtype=torch.int64),
        torch.arange(1, 9),
        [0, 1],
        torch.ones(8).bool(),
    ],
)
def test_permutations_hold_each_row_once(order: object) -> None:
    right = torch.arange(8).roll(1)
    assert loss.symile([X, Y], TAU, [right, right.int()]).isfinite()
    with pytest.raises(
        ConfigError, match=r"^permutation 1: must (be a tensor of 8 row numbers|hold each of the 8 row)"
    ):
        loss.symile([X, Y], TAU, [right, order])  # type: ignore[list-item]


@pytest.mark.parametrize("value", [None, "1", [1.0]])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("margin", loss.triplet_loss),
        ("regularisation", loss.dcca_loss),
        ("minimum", loss.individual_loss),
        ("epsilon", loss.soft_dcca_loss),
        ("epsilon", loss.temperature_free_loss),
        ("exponent", loss.alignment_uniformity_loss),
        ("covariance", loss.vicreg_loss),
        ("redundancy", loss.barlow_twins_loss),
        ("label_smoothing", OF_PAIRS["info_nce"]),
        ("anchor", OF_PAIRS["anchored"]),
    ],
)
def test_settings_are_numbers(name: str, call: Callable[..., Tensor], value: object) -> None:
    with pytest.raises(ConfigError, match=f"^{name}="):
        call(X, Y, **{name: value})


@pytest.mark.parametrize("components", [1.5, 0, "2", True])
def test_components_are_a_whole_number(components: Any) -> None:
    assert loss.dcca_loss(X, Y, components=np.int64(2)).isfinite()
    with pytest.raises(
        ConfigError, match=f"^components={components}: must be None or a whole number of at least 1$"
    ):
        loss.dcca_loss(X, Y, components=components)


def test_numbers_of_numpy_are_settings() -> None:
    assert loss.InfoNCE(label_smoothing=np.float32(0.5)).label_smoothing == 0.5
    assert loss.DCCA(components=np.int64(3)).components == 3


def test_checks_neither_break_a_graph_nor_vmap() -> None:
    step = torch.compile(
        lambda x, y, tau: loss.sigmoid_loss(x, y, tau, -10.0) + loss.info_nce(x, y, tau),
        fullgraph=True,
        backend="eager",
    )
    assert torch.allclose(step(X, Y, TAU), loss.sigmoid_loss(X, Y, TAU, -10.0) + loss.info_nce(X, Y, TAU))
    taus = torch.tensor([0.1, 0.2])
    alone = torch.stack([loss.info_nce(X, Y, tau) for tau in taus])
    assert torch.allclose(torch.func.vmap(lambda tau: loss.info_nce(X, Y, tau))(taus), alone)
