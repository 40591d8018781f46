"""Information imbalance against all ranks sorted out one by one, closed forms, and ties."""

import pytest
import torch
from scipy.stats import rankdata

from helpers.manifolds import gaussian
from intrinsic_clip.metrics import information_imbalance


def directly(x: torch.Tensor, y: torch.Tensor) -> float:
    """Return Δ(x → y) from the full table of ranks."""
    n = len(x)
    total = 0.0
    for i in range(n):
        others = [j for j in range(n) if j != i]
        nearest = min(others, key=lambda j: float((x[i] - x[j]).square().sum()))
        ranks = rankdata([float((y[i] - y[j]).square().sum().round(decimals=9)) for j in others])
        total += ranks[others.index(nearest)]
    return 2 / n**2 * total


def test_equals_all_ranks_sorted() -> None:
    x = gaussian(60, 3).double()
    y = torch.cat([x[:, :1] ** 3, gaussian(60, 2, seed=1).double()], 1)
    imbalance = information_imbalance(x, y)
    assert imbalance.x_to_y.item() == pytest.approx(directly(x, y))
    assert imbalance.y_to_x.item() == pytest.approx(directly(y, x))


def test_the_same_view_scaled_gives_its_least_value() -> None:
    x = gaussian(200, 4)
    assert information_imbalance(x, 3 * x + 100).x_to_y.item() == pytest.approx(2 / 200)


def test_independent_views_give_1() -> None:
    imbalance = information_imbalance(gaussian(1500, 2), gaussian(1500, 2, seed=1))
    assert imbalance.x_to_y.item() == pytest.approx(1, abs=0.06)  # standard error 1 / √(3 n)
    assert imbalance.y_to_x.item() == pytest.approx(1, abs=0.06)


def test_ties_in_the_other_view_share_their_ranks() -> None:
    x = gaussian(60, 2).double()
    y = (x[:, :1] > 0).double()  # two values
    imbalance = information_imbalance(x, y)
    assert imbalance.x_to_y.item() == pytest.approx(directly(x, y))
    assert imbalance.y_to_x.isnan()
    assert imbalance.reason == "100 % of the rows have several nearest neighbours in y"


def test_replicates_and_blocks_equal_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = gaussian(2, 80, 3), gaussian(2, 80, 2, seed=1)
    x[1, 3, 0] = torch.nan
    alone = information_imbalance(x[0], y[0])
    monkeypatch.setattr("intrinsic_clip.metrics.row_blocks.CACHE_BYTES", 0)
    monkeypatch.setattr("intrinsic_clip.metrics.row_blocks.FEW", 7)
    together = information_imbalance(x, y)
    assert together.x_to_y[0].item() == pytest.approx(alone.x_to_y.item())
    assert together.y_to_x.isnan().tolist() == [False, True]
    assert together.reason == "some values are NaN or infinite"


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="with one n"):
        information_imbalance(gaussian(10, 2), gaussian(9, 2))
    with pytest.raises(ValueError, match="at least 3 rows"):
        information_imbalance(gaussian(2, 2), gaussian(2, 2))
