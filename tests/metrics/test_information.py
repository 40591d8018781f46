"""Test the InfoNCE bound against cross-entropy and closed forms, with small temperatures."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from helpers.manifolds import gaussian
from intrinsic_clip.metrics import infonce_bound


def directly(x: Tensor, y: Tensor, tau: float) -> tuple[float, float]:
    logits = x.double() @ y.double().T / tau
    partners = torch.arange(len(x))
    return (
        math.log(len(x)) - cross_entropy(logits, partners).item(),
        math.log(len(x)) - cross_entropy(logits.T, partners).item(),
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("tau", [1e-4, 1e-2, 0.1, 1.0, 10.0])
def test_equals_cross_entropy(tau: float, dtype: torch.dtype) -> None:
    x = gaussian(200, 6)
    y = (0.5 * x + 0.3 * gaussian(200, 6, seed=1)).to(dtype)
    x = x.to(dtype)
    bound = infonce_bound(x, y, tau)
    x_to_y, y_to_x = directly(x, y, tau)
    assert bound.x_to_y.item() == pytest.approx(x_to_y, rel=1e-5, abs=1e-5)
    assert bound.y_to_x.item() == pytest.approx(y_to_x, rel=1e-5, abs=1e-5)
    assert bound.mean.item() == pytest.approx((x_to_y + y_to_x) / 2, rel=1e-5, abs=1e-5)


def test_replicates_and_blocks_equal_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = gaussian(2, 3, 50, 4), gaussian(2, 3, 50, 4, seed=1)
    tau = torch.tensor([[1e-2, 0.1, 1.0], [2.0, 0.5, 0.3]])
    together = infonce_bound(x, y, tau)
    assert together.mean.shape == (2, 3)
    monkeypatch.setattr("intrinsic_clip.metrics.row_blocks.CACHE_BYTES", 0)
    monkeypatch.setattr("intrinsic_clip.metrics.row_blocks.FEW", 7)
    for r in range(2):
        for s in range(3):
            alone = infonce_bound(x[r, s], y[r, s], tau[r, s])
            for direction in ("x_to_y", "y_to_x", "mean"):
                one, many = getattr(alone, direction), getattr(together, direction)[r, s]
                torch.testing.assert_close(one, many, rtol=1e-6, atol=1e-6)


def test_perfect_alignment_gives_log_n() -> None:
    x = normalize(gaussian(300, 20), dim=-1)
    for bound in infonce_bound(x, x, 1e-3):
        assert bound.item() == pytest.approx(math.log(300), abs=1e-6)
        assert bound.item() <= math.log(300)


def test_collapsed_representation_gives_0() -> None:
    x = torch.full((300, 20), 0.7)
    for tau in (1e-4, 1.0):
        for bound in infonce_bound(x, x, tau):
            assert bound.item() == pytest.approx(0, abs=1e-5)


def test_two_pairs_in_closed_form() -> None:
    x = torch.eye(2)
    for bound in infonce_bound(x, x, 0.5):
        assert bound.item() == pytest.approx(math.log(2) - math.log(1 + math.exp(-2)), rel=1e-6)


def test_small_differences_survive_a_small_temperature() -> None:
    rows = torch.tensor([[1e3], [1e3 + 1e-4]], dtype=torch.float64)
    ones = torch.ones(2, 1, dtype=torch.float64)
    bound = infonce_bound(rows, ones, 1e-4)  # logits 1e7 and 1e7 + 1, alike along each row
    assert bound.x_to_y.item() == pytest.approx(0, abs=1e-6)
    expected = math.log(2) - (math.log1p(math.e) + math.log1p(math.exp(-1))) / 2
    assert bound.y_to_x.item() == pytest.approx(expected, rel=1e-5)


def test_finite_at_the_smallest_temperature_of_the_paper() -> None:
    x, y = 10 * gaussian(500, 20), 10 * gaussian(500, 20, seed=1)
    for bound in infonce_bound(x.float(), y.float(), 1e-4):
        assert bound.isfinite()
        assert bound < 0  # independent and sure of it


def test_a_diverged_replicate_is_nan() -> None:
    x, y = gaussian(2, 20, 3), gaussian(2, 20, 3)
    x[1, 4, 0] = torch.nan
    assert infonce_bound(x, y, 0.1).mean.isnan().tolist() == [False, True]


def test_wrong_arguments() -> None:
    x = gaussian(3, 10, 2)
    with pytest.raises(ValueError, match="alike and not empty"):
        infonce_bound(x, x[:, :9], 0.1)
    with pytest.raises(ValueError, match="must be positive"):
        infonce_bound(x, x, 0.0)
    with pytest.raises(ValueError, match="tau must be a number or"):
        infonce_bound(x, x, torch.ones(2))
