"""Numbers that do not depend on the scale of rows, of rows whose squares overflow or vanish in double precision."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from intrinsic_clip import metrics
from intrinsic_clip.dimension.scaling import scale_of

N = 120
GENERATOR = torch.Generator().manual_seed(3)
Z = torch.randn(N, 2, generator=GENERATOR, dtype=torch.float64)
X = torch.cat([Z, torch.randn(N, 2, generator=GENERATOR, dtype=torch.float64)], 1)
Y = X + 0.8 * torch.randn(N, 4, generator=GENERATOR, dtype=torch.float64)
CLASSES = (Z > 0).long().sum(1)

INVARIANT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "linear_accuracy": lambda x, _: metrics.linear_accuracy(x, CLASSES),
    "linear_recovery": lambda x, _: metrics.linear_recovery(x, Z),
    "linear_recovery of": lambda x, _: metrics.linear_recovery(Z, x),
    "kernel_recovery": lambda x, _: metrics.kernel_recovery(x, Z),
    "canonical_directions": lambda x, y: metrics.canonical_directions(x, y).correlations,
    "canonical_rank": lambda x, y: metrics.canonical_rank(x, y, 19).rank,
    "kernel_canonical_rank": lambda x, y: metrics.kernel_canonical_rank(x, y, permutations=19).rank,
    "copula_information": lambda x, y: metrics.copula_information(x, y, directions=2).value,
    "ksg_information": lambda x, y: metrics.ksg_information(x, y, directions=2).value,
    "nwj_bound": lambda x, y: metrics.nwj_bound(x, y).value,
    "smile_estimate": lambda x, y: metrics.smile_estimate(x, y).value,
    "held_out_infonce_bound": lambda x, y: metrics.held_out_infonce_bound(x, y).value,
    "information_imbalance": lambda x, y: metrics.information_imbalance(x, y).x_to_y,
    "joint_dimension": lambda x, y: metrics.joint_dimension(metrics.joint_neighbours(x, y, 2)).joint,
    "linear_cka": metrics.linear_cka,
    "procrustes": lambda x, y: metrics.procrustes(x, y).residual,
}


@pytest.mark.parametrize("name", INVARIANT)
@pytest.mark.parametrize("scale", [1e160, 1e-160, 1e300, 1e-290, 1e-75])
def test_a_number_without_unit_is_that_of_moderate_rows(name: str, scale: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = INVARIANT[name](X * scale, Y * scale)
    torch.testing.assert_close(value, INVARIANT[name](X, Y), rtol=1e-6, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("name", ["linear_accuracy", "linear_recovery", "kernel_recovery"])
def test_columns_that_are_standardised_may_each_have_a_scale(name: str) -> None:
    apart = torch.tensor([1e200, 1.0, 1e-200, 1e-3], dtype=torch.float64)
    torch.testing.assert_close(INVARIANT[name](X * apart, Y), INVARIANT[name](X, Y), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("scale", [2.0**530, 2.0**-530])
def test_directions_and_distances_have_the_unit_of_the_rows(scale: float) -> None:
    plain, scaled = (metrics.canonical_directions(X * by, Y * by) for by in (1.0, scale))
    torch.testing.assert_close(scaled.x * scale, plain.x)
    torch.testing.assert_close(scaled.mean_y / scale, plain.mean_y)
    for side, rows in zip(scaled.weighted(X * scale, Y * scale), plain.weighted(X, Y), strict=True):
        torch.testing.assert_close(side, rows)
    torch.testing.assert_close(
        metrics.energy_distance(X * scale, Y * scale) / scale, metrics.energy_distance(X, Y)
    )


def test_each_replicate_has_its_own_scale() -> None:
    x, y = torch.stack([X, X * 1e200, X * 1e-200]), torch.stack([Y, Y * 1e200, Y])
    values = metrics.ksg_information(x, y, directions=2).value
    torch.testing.assert_close(values, values[:1].expand(3))


def test_moderate_rows_are_left_as_they_are() -> None:
    for rows in (
        X,
        X.float() * 1e30,
        torch.zeros(3, 2),
        torch.full((3, 2), torch.nan),
        torch.full((3, 2), torch.inf),
    ):
        assert scale_of(rows).tolist() == [[1.0]]
    assert 0.5 <= float((X * 1e300 / scale_of(X * 1e300)).abs().max()) <= 1


@pytest.mark.parametrize("scale", [2.0**250, 2.0**-250, 2.0**500, 2.0**-500])
def test_the_best_temperature_has_the_unit_of_the_similarities(scale: float) -> None:
    """It was 0 or infinity, which say something else: each partner is the nearest, or similarities do not favour it."""
    tau = metrics.optimal_temperature(X, Y)
    assert 0 < float(tau) < 100
    torch.testing.assert_close(metrics.optimal_temperature(X * scale, Y * scale) / scale / scale, tau)
    torch.testing.assert_close(metrics.optimal_temperature(X * scale, Y / scale), tau)


@pytest.mark.parametrize("scale", [1e160, 1e-160])
def test_a_temperature_that_no_float_holds_is_nan(scale: float) -> None:
    assert bool(metrics.optimal_temperature(X * scale, Y * scale).isnan())


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("tau", [1e-38, 1e-60])
def test_the_bound_of_logits_beyond_single_precision_is_a_number(tau, together, monkeypatch) -> None:
    """Of similarities relative to so small a temperature the largest of each row is all of its sum."""
    if together:
        monkeypatch.setattr(metrics.replicated_pairs, "worth_it", lambda _: True)
    gaps = X @ Y.T - (X * Y).sum(1)[:, None]
    bound = metrics.infonce_bound(X[None], Y[None], tau)
    torch.testing.assert_close(bound.x_to_y * tau, -gaps.amax(1).mean()[None])
