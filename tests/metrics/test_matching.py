"""Test matching accuracies and median ranks against values by hand, with ties and collapsed representations."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers.manifolds import gaussian
from intrinsic_clip.metrics import label_matching, median_rank, partner_ranks, top_count, top_matching


def few_values(n: int, d: int, seed: int) -> Tensor:
    """Return small integers, whose inner products are exact and often equal."""
    return torch.randint(-1, 2, (n, d), generator=torch.Generator().manual_seed(seed)).double()


def top_by_hand(queries: Tensor, keys: Tensor, k: int) -> float:
    """Average over all orders that break ties, one pair of rows after the other."""
    total = 0.0
    for i, query in enumerate(queries.numpy()):
        scores = [float(np.dot(query, key)) for key in keys.numpy()]
        greater = sum(score > scores[i] for score in scores)
        ties = sum(score == scores[i] for score in scores)
        places = [greater + position < k for position in range(ties)]  # of the partner among its ties
        total += sum(places) / ties
    return total / len(queries)


def label_by_hand(queries: Tensor, keys: Tensor, labels: list[int]) -> float:
    total = 0.0
    for i, query in enumerate(queries.numpy()):
        scores = [float(np.dot(query, key)) for key in keys.numpy()]
        best = [labels[j] for j, score in enumerate(scores) if score == max(scores)]
        total += best.count(labels[i]) / len(best)
    return total / len(queries)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k", [1, 2, 5, 24, 25])
def test_top_matching_by_hand(seed: int, k: int) -> None:
    for x, y in [
        (gaussian(25, 3, seed=seed), gaussian(25, 3, seed=seed + 50)),
        (few_values(25, 3, seed), few_values(25, 3, seed + 50)),
    ]:
        matching = top_matching(partner_ranks(x, y), k)
        assert matching.x_to_y.item() == pytest.approx(top_by_hand(x, y, k), abs=1e-12)
        assert matching.y_to_x.item() == pytest.approx(top_by_hand(y, x, k), abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_label_matching_by_hand(seed: int) -> None:
    labels = torch.randint(0, 4, (25,), generator=torch.Generator().manual_seed(seed))
    for x, y in [
        (gaussian(25, 3, seed=seed), gaussian(25, 3, seed=seed + 50)),
        (few_values(25, 3, seed), few_values(25, 3, seed + 50)),
    ]:
        matching = label_matching(x, y, labels)
        assert matching.x_to_y.item() == pytest.approx(label_by_hand(x, y, labels.tolist()), abs=1e-12)
        assert matching.y_to_x.item() == pytest.approx(label_by_hand(y, x, labels.tolist()), abs=1e-12)


def test_the_two_directions_differ_as_they_should() -> None:
    x = torch.tensor([[1.0, 0.0], [3.0, 1.0]])
    y = torch.tensor([[1.0, 0.0], [0.5, 1.0]])  # S = [[1, 0.5], [3, 2.5]]
    matching = top_matching(partner_ranks(x, y), 1)
    assert matching.x_to_y == 0.5  # x_0 finds y_0, x_1 prefers y_0
    assert matching.y_to_x == 0.5  # y_0 prefers x_1, y_1 finds x_1
    y = torch.tensor([[1.0, 0.0], [0.5, 3.0]])  # S = [[1, 0.5], [3, 4.5]]
    matching = top_matching(partner_ranks(x, y), 1)
    assert (matching.x_to_y, matching.y_to_x) == (1.0, 0.5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("n", [64, 1001])
def test_collapsed_representation_scores_chance(dtype: torch.dtype, n: int) -> None:
    x = torch.full((n, 44), 0.3, dtype=dtype) * torch.linspace(0.1, 3, 44, dtype=dtype)
    ranks = partner_ranks(x, 7 * x)
    for k in (1, 5, n):
        for share in top_matching(ranks, k):
            assert share.item() == pytest.approx(k / n, rel=1e-12)
    labels = torch.arange(n) % 4
    by_chance = (labels.bincount() / n).square().sum().item()
    for share in label_matching(x, x, labels):
        assert share.item() == pytest.approx(by_chance, rel=1e-6)


def test_collapse_of_one_modality_scores_chance_too() -> None:
    matching = top_matching(partner_ranks(gaussian(400, 8), torch.ones(400, 8, dtype=torch.float64)), 4)
    assert matching.x_to_y.item() == pytest.approx(0.01)
    assert matching.y_to_x.item() == pytest.approx(0.01, abs=1e-9)  # the 4 largest norms


def test_independent_representations_score_about_k_in_n() -> None:
    ranks = partner_ranks(gaussian(20, 500, 6), gaussian(20, 500, 6, seed=1))
    for share in top_matching(ranks, 25):
        assert share.shape == (20,)
        assert share.mean().item() == pytest.approx(0.05, abs=4 * (0.05 / 10_000) ** 0.5)


def test_aligned_directions_match_all() -> None:
    x = torch.nn.functional.normalize(gaussian(300, 5), dim=-1).float()
    assert [share.item() for share in top_matching(partner_ranks(x, x), 1)] == [1.0, 1.0]
    assert [share.item() for share in label_matching(x, x, torch.arange(300))] == [1.0, 1.0]


def test_replicates_and_blocks_equal_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = gaussian(2, 3, 50, 4), gaussian(2, 3, 50, 4, seed=1)
    labels = torch.arange(300).reshape(2, 3, 50) % 7
    together = top_matching(partner_ranks(x, y), 5)
    by_label = label_matching(x, y, labels)
    monkeypatch.setattr("intrinsic_clip.metrics.row_blocks.CACHE_BYTES", 0)
    monkeypatch.setattr("intrinsic_clip.metrics.row_blocks.FEW", 7)
    for index in np.ndindex(2, 3):
        alone = top_matching(partner_ranks(x[index], y[index]), 5)
        assert (together.x_to_y[index], together.y_to_x[index]) == (alone.x_to_y, alone.y_to_x)
        alone = label_matching(x[index], y[index], labels[index])
        assert (by_label.x_to_y[index], by_label.y_to_x[index]) == (alone.x_to_y, alone.y_to_x)
    shared = label_matching(x, y, labels[0, 0])
    assert shared.x_to_y[0, 0] == by_label.x_to_y[0, 0]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_diverged_replicate_scores_nan_and_never_a_match(value: float) -> None:
    x, y = gaussian(2, 20, 3), gaussian(2, 20, 3)
    x[1, 4, 0] = value
    for scores in (top_matching(partner_ranks(x, y), 20), label_matching(x, y, torch.zeros(20))):
        assert scores.x_to_y.isnan().tolist() == [False, True]
        assert scores.y_to_x.isnan().tolist() == [False, True]


@pytest.mark.parametrize(
    ("alpha", "n", "count"), [(0.005, 2000, 10), (0.005, 199, 1), (0.005, 1, 1), (1.0, 7, 7)]
)
def test_top_count(alpha: float, n: int, count: int) -> None:
    assert top_count(alpha, n) == count


def test_wrong_arguments() -> None:
    x = gaussian(10, 3)
    with pytest.raises(ValueError, match="alike and not empty"):
        partner_ranks(x, x[:9])
    with pytest.raises(ValueError, match="alike and not empty"):
        label_matching(x[:0], x[:0], torch.zeros(0))
    with pytest.raises(ValueError, match="labels must be"):
        label_matching(x, x, torch.zeros(9))
    with pytest.raises(ValueError, match="alpha"):
        top_count(0.0, 10)
    for k in (0, 11):
        with pytest.raises(ValueError, match="k must lie between 1 and the 10 rows"):
            top_matching(partner_ranks(x, x), k)


def test_median_rank_is_that_of_sorted_scores() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 3, 41, 5, generator=generator, dtype=torch.float64)
    y = y + x
    ranks = median_rank(partner_ranks(x, y))
    scores = x @ y.mT
    for direction, by_query in ((ranks.x_to_y, scores), (ranks.y_to_x, scores.mT)):
        order = by_query.argsort(-1, descending=True)
        places = (order == torch.arange(41)[:, None]).int().argmax(-1) + 1
        assert torch.equal(direction, places.double().median(-1).values)


def test_median_rank_of_equal_scores_is_the_middle() -> None:
    ones = torch.ones(10, 3)
    assert median_rank(partner_ranks(ones, ones)).x_to_y == 5.5
    assert median_rank(partner_ranks(ones * math.nan, ones)).x_to_y.isnan()
