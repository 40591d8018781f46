"""Estimators of dimension, and the search they share, on a device are those of float64 on a CPU."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intrinsic_clip import dimension, encoders, metrics
from intrinsic_clip.dimension import jacobian_spectrum, nearest_neighbours
from intrinsic_clip.dimension.replicated_search import search_together
from intrinsic_clip.encoders.replication import replicate
from intrinsic_clip.metrics import replicated_pairs

ESTIMATORS: dict[str, Callable[..., Any]] = {
    "mle": lambda points: dimension.mle(points, k=10),
    "mean_mle": lambda points: dimension.mean_mle(points, k=10),
    "twonn": dimension.twonn,
    "gride": dimension.gride,
    "tle": lambda points: dimension.tle(points, k=10),
    "mada": lambda points: dimension.mada(points, k=10),
    "method_of_moments": lambda points: dimension.method_of_moments(points, k=30),
    "local_pca": lambda points: dimension.local_pca(points, k=30),
    "spanning_tree": dimension.spanning_tree,
    "correlation_integral": dimension.correlation_integral,
    "participation_ratio": dimension.participation_ratio,
    "effective_rank": dimension.effective_rank,
    "corrected_participation_ratio": dimension.corrected_participation_ratio,
}


def points(*shape: int) -> Tensor:
    """Return points of three dimensions in as many columns as asked, float64 on the CPU."""
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn(*shape[:-1], 3, generator=generator, dtype=torch.float64)
    return torch.tanh(latent @ torch.randn(3, shape[-1], generator=generator, dtype=torch.float64))


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_estimators(name: str, dtype: torch.dtype, device: torch.device) -> None:
    rows = points(2, 160, 8).to(dtype)
    expected, estimate = ESTIMATORS[name](rows.double()), ESTIMATORS[name](rows.to(device))
    assert estimate.value.device.type == device.type
    torch.testing.assert_close(estimate.value.cpu().double(), expected.value.double(), rtol=1e-5, atol=1e-7)
    error, wanted = estimate.standard_error.cpu(), expected.standard_error
    torch.testing.assert_close(error, wanted, rtol=1e-4, atol=1e-7, equal_nan=True)


def test_variances_of_the_principal_components(device: torch.device) -> None:
    rows = points(2, 160, 8)
    torch.testing.assert_close(
        dimension.spectrum(rows.float().to(device)).cpu(), dimension.spectrum(rows), rtol=1e-5, atol=1e-6
    )


@pytest.mark.filterwarnings("ignore:.*exact duplicates")
@pytest.mark.parametrize("case", ["plain", "ties", "duplicates", "not finite"])
def test_neighbours(case: str, device: torch.device) -> None:
    rows = points(3, 150, 5).float()
    if case == "ties":
        rows = (4 * rows).round()
        rows += 1e-3 * torch.arange(150)[:, None] * torch.eye(5)[0]
    elif case == "duplicates":
        rows[1, 40:50] = rows[1, 90:100]
    elif case == "not finite":
        rows[2, 3] = torch.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, found = nearest_neighbours(rows.double(), 6), nearest_neighbours(rows.to(device), 6)
    torch.testing.assert_close(found.distances.cpu(), expected.distances, rtol=1e-9, atol=0, equal_nan=True)
    assert torch.equal(found.valid.cpu(), expected.valid)
    assert torch.equal(found.dims.cpu(), expected.dims)
    if case == "plain":
        assert torch.equal(found.indices.cpu(), expected.indices)


@pytest.mark.parametrize("precision", ["highest", "high"])
def test_neighbours_of_replicates_searched_together(precision: str, device: torch.device) -> None:
    rows = points(6, 150, 5).float()
    torch.set_float32_matmul_precision(precision)
    try:
        together = search_together(rows.to(device), 6)
    finally:
        torch.set_float32_matmul_precision("highest")
    expected = nearest_neighbours(rows.double(), 6)
    assert together.done.all()
    torch.testing.assert_close(together.distances.cpu(), expected.distances, rtol=1e-9, atol=0)


def test_scores_of_pairs(device: torch.device) -> None:
    x = points(3, 90, 6)
    y = x + 0.3 * torch.randn(3, 90, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = metrics.partner_ranks(x, y).x_to_y
    ranks = metrics.partner_ranks(x.to(device), y.to(device)).x_to_y
    counts = replicated_pairs.partner_counts(x.to(device), y.to(device))
    for greater, ties in ((ranks.greater, ranks.ties), counts[:2]):
        assert torch.equal(greater.cpu(), expected.greater)
        assert torch.equal(ties.cpu(), expected.ties)
    tau = torch.tensor([0.1, 0.5, 2.0], dtype=torch.float64)
    bounds = metrics.infonce_bound(x, y, tau)
    torch.testing.assert_close(
        metrics.infonce_bound(x.to(device), y.to(device), tau).mean.cpu(), bounds.mean, rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(metrics.uniformity(x.to(device)).cpu(), metrics.uniformity(x))
    torch.testing.assert_close(metrics.alignment(x.to(device), y.to(device)).cpu(), metrics.alignment(x, y))
    recovery = metrics.linear_recovery(x.to(device), y.to(device))
    torch.testing.assert_close(recovery.cpu(), metrics.linear_recovery(x, y), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("widths", [(12, 5), (5, 12)])
def test_jacobians(widths: tuple[int, int], device: torch.device) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Linear(widths[0], 3), nn.Tanh(), nn.Linear(3, widths[1]))
    rows = points(10, widths[0])
    expected = jacobian_spectrum(encoder.double(), rows)
    spectrum = jacobian_spectrum(encoder.to(device), rows.to(device))
    assert int(spectrum.rank) == int(expected.rank) == 3
    torch.testing.assert_close(spectrum.singular_values.cpu(), expected.singular_values, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dims", [(4, 4), (2, 4)])
def test_replicates_are_the_single_encoders(dims: tuple[int, int], device: torch.device) -> None:
    encoder = replicate(lambda d: encoders.mlp(6, d), 6, (0, 1, 2), dims, (2, 3)).to(device)
    rows = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    outputs = encoder(rows.to(device)).cpu()
    for place, d in enumerate(dims):
        with torch.random.fork_rng():
            torch.manual_seed(1)
            alone = encoders.mlp(6, d)
        expected = alone.double()(rows.double()).detach()
        torch.testing.assert_close(outputs[place, 1, :, :d].double(), expected, rtol=1e-4, atol=1e-5)
