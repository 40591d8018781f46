"""Recall where rows repeat: values by hand, and those of published protocols."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers.manifolds import gaussian
from intrinsic_clip.metrics import (
    counterparts,
    median_rank,
    partner_ranks,
    retrieval_by_dimension,
    top_matching,
)
from intrinsic_clip.metrics.alignment import directions
from intrinsic_clip.metrics.counterparts import (
    Counterparts,
    counterparts_of,
    distinct_rows,
    halves_of_things,
    with_copies,
)


def captioned(images: int, captions: int, d: int, noise: float) -> tuple[Tensor, Tensor]:
    """Return each image as many times as it has captions, and the captions."""
    x = gaussian(images, d).repeat_interleave(captions, 0)
    return x, x + noise * gaussian(images * captions, d, seed=1)


def published(x: Tensor, y: Tensor, captions: int, k: int) -> tuple[float, float]:
    """Return recall@k as for COCO: any caption of an image is right, and every image occurs once."""
    scores = (x[::captions] @ y.T).numpy()
    n = len(scores)
    to_text = np.argsort(-scores, 1)[:, :k] // captions == np.arange(n)[:, None]
    to_image = np.argsort(-scores.T, 1)[:, :k] == np.arange(n * captions)[:, None] // captions
    return float(to_text.any(1).mean()), float(to_image.any(1).mean())


@pytest.mark.parametrize("k", [1, 5, 10])
def test_five_captions_per_image_are_counted_as_published(k: int) -> None:
    x, y = captioned(60, 5, 8, 1.0)
    x, y = directions(x), directions(y)
    matching = top_matching(partner_ranks(x, y, counterparts(x, y)), k)
    expected = published(x, y, 5, k)
    assert (float(matching.x_to_y), float(matching.y_to_x)) == pytest.approx(expected)
    back = top_matching(partner_ranks(y, x, counterparts(y, x)), k)  # captions as x
    assert (float(back.y_to_x), float(back.x_to_y)) == pytest.approx(expected)
    assert 0.1 < expected[0] < 1


def test_a_perfect_model_scores_one_and_has_median_rank_one() -> None:
    x, y = captioned(40, 5, 16, 0.01)
    shuffled = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    x, y = directions(x[shuffled]), directions(y[shuffled])
    ranks = partner_ranks(x, y, counterparts(x, y))
    assert [float(share) for share in top_matching(ranks, 1)] == [1.0, 1.0]
    assert [float(rank) for rank in median_rank(ranks)] == [1.0, 1.0]
    assert [len(direction.greater) for direction in ranks] == [40, 200]


def test_classes_as_captions_score_as_zero_shot_accuracy() -> None:
    labels = torch.arange(90) % 3
    prompts = directions(gaussian(3, 4, seed=2))
    x = directions(prompts[labels] + 0.8 * gaussian(90, 4))
    ranks = partner_ranks(x, prompts[labels], counterparts(x, prompts[labels]))
    accuracy = ((x @ prompts.T).argmax(1) == labels).double().mean()
    assert float(top_matching(ranks, 1).x_to_y) == pytest.approx(float(accuracy))


def test_repeats_in_both_modalities_make_any_partner_right() -> None:
    x = torch.eye(3)[[0, 0, 1, 2]]
    y = torch.eye(3)[[0, 1, 1, 2]]  # things: x0 with y0 and y1, x1 with y1, x2 with y2
    both = counterparts(x, y)
    assert both is not None
    assert both.of_x.tolist() == [0, 0, 1, 2]
    assert both.of_y.tolist() == [0, 1, 1, 2]
    assert both.chance == pytest.approx(4 / 9)
    assert [float(share) for share in top_matching(partner_ranks(x, y, both), 1)] == [1.0, 1.0]


def test_ties_share_the_credit_over_all_orders() -> None:
    greater, ties, right = 1, 4, 2
    orders = list(itertools.permutations(range(ties)))
    first = [min(order.index(j) for j in range(right)) for order in orders]
    # One query: a wrong candidate above, then four equal ones of which two are right.
    x = torch.tensor([[1.0, 0.0]]).repeat(2, 1)
    candidates = torch.tensor([[2.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 3.0], [1.0, 4.0]])
    other = torch.tensor([[0.0, 1.0]])
    both = Counterparts(
        torch.tensor([0, 1]), torch.arange(5), torch.tensor([0, 0, 1, 1, 1]), torch.tensor([1, 2, 0, 3, 4]), 5
    )
    queries = torch.cat([x[:1], other, x.new_zeros(3, 2)])
    ranks = partner_ranks(queries, candidates, both).x_to_y
    assert [int(part[0]) for part in (ranks.greater, ranks.ties, ranks.right)] == [greater, ties, right]
    for k in range(1, 6):
        single = partner_ranks(queries, candidates, both)
        only = single._replace(x_to_y=type(ranks)(*(part[:1] for part in ranks)))
        expected = sum(greater + place < k for place in first) / len(first)
        assert float(top_matching(only, k).x_to_y) == pytest.approx(expected, abs=1e-12)
    expected_place = greater + 1 + sum(first) / len(first)
    assert float(median_rank(only).x_to_y) == pytest.approx(expected_place)


def test_without_repeats_there_are_no_counterparts_and_replicates_share_them() -> None:
    assert counterparts(gaussian(20, 3), gaussian(20, 3, seed=1)) is None
    x, y = captioned(10, 2, 4, 0.5)
    both = counterparts(torch.stack([x, -x]), torch.stack([y, y]))
    assert both is not None
    together = partner_ranks(torch.stack([x, -x]), torch.stack([y, y]), both)
    alone = partner_ranks(-x, y, both)
    assert torch.equal(together.x_to_y.greater[1], alone.x_to_y.greater)
    y[3] = math.nan
    assert top_matching(partner_ranks(x, y, both), 1).x_to_y.isnan()


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(torch.ones(6, 3), id="constant"),
        pytest.param(torch.zeros(6, 3), id="zeros"),
        pytest.param(torch.tensor([[1.0, 0], [-1.0, 0]] * 3), id="one column varies"),
        pytest.param(torch.cat([torch.zeros(4, 2), torch.eye(2)]), id="dead rows"),
    ],
)
def test_a_collapse_is_no_repetition(rows: Tensor) -> None:
    assert distinct_rows(rows).tolist() == list(range(6))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8])
def test_rows_of_any_type_are_compared_exactly(dtype: torch.dtype) -> None:
    rows = torch.tensor([[1, 2], [3, 0], [1, 2], [3, 1]]).to(dtype)
    assert distinct_rows(rows).tolist() == [0, 1, 0, 3]
    assert distinct_rows(torch.tensor([[0.0, 1.0], [-0.0, 1.0], [2.0, 3.0]])).tolist() == [0, 0, 2]


def test_rows_of_a_thing_stay_in_one_half() -> None:
    x, y = captioned(30, 5, 4, 0.5)
    things = distinct_rows(x), distinct_rows(y)
    fitted, measured = halves_of_things(*things, seed=0)
    assert sorted([*fitted.tolist(), *measured.tolist()]) == list(range(150))
    assert not set(things[0][fitted].tolist()) & set(things[0][measured].tolist())
    assert abs(len(fitted) - 75) <= 5
    two = torch.arange(40) % 2  # two classes: either half would lack one
    assert [len(half) for half in halves_of_things(two, torch.arange(40), seed=0)] == [20, 20]


def test_recall_of_leading_dimensions_counts_any_right_caption() -> None:
    x, y = captioned(60, 5, 8, 0.05)
    things = distinct_rows(x), distinct_rows(y)
    retrieval = retrieval_by_dimension(x, y, dims=(2, 8), things=things)
    assert [float(share) for share in (*retrieval.full,)] == [1.0, 1.0]
    assert retrieval.chance == pytest.approx(1 / 30)
    assert float(retrieval_by_dimension(x, y, dims=(8,)).full.x_to_y) < 0.6
    unique = torch.arange(300)
    plain = retrieval_by_dimension(x, y, dims=(2, 8))
    same = retrieval_by_dimension(x, y, dims=(2, 8), things=(unique, unique))
    assert torch.equal(plain.recall.x_to_y, same.recall.x_to_y)


def test_wrong_numbers_of_rows() -> None:
    with pytest.raises(ValueError, match="as many rows"):
        counterparts_of(torch.arange(3), torch.arange(4))


def test_copies_that_differ_by_rounding_are_the_same_thing() -> None:
    x, y = captioned(100, 5, 16, noise=0.1)
    noisy = x * (1 + 1e-7 * gaussian(*x.shape, seed=2))
    things = with_copies(noisy, distinct_rows(noisy))
    assert things.tolist() == [5 * (row // 5) for row in range(500)]
    both = counterparts_of(things, distinct_rows(y))
    recall = top_matching(partner_ranks(directions(noisy), directions(y), both), 1)
    assert (float(recall.x_to_y), float(recall.y_to_x)) == (1.0, 1.0)


@pytest.mark.parametrize("equal", [0, 16, 40])
def test_copies_are_those_that_every_distance_shows(equal: int) -> None:
    """Columns in which all rows are equal tell no rows apart, and other columns must."""
    rows = gaussian(600, 60).double()
    rows[:, :equal] = 1.0
    rows[200:400] = rows[:200] * (1 + 1e-7 * gaussian(200, 60, seed=1).double())
    things = with_copies(rows, distinct_rows(rows))
    reach = 1e-5 * float((rows - rows.mean(0)).norm(dim=1).median())
    close = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist") <= reach
    assert things.tolist() == close.int().argmax(1).tolist()
    assert len(things.unique()) == 400


@pytest.mark.parametrize(
    "rows",
    [
        gaussian(1000, 16),
        torch.zeros(1000, 4),
        torch.linspace(0, 1, 2000).outer(torch.ones(3)),
        gaussian(1000, 2) * 1e-9,
        gaussian(1000, 4).double() * 1e-3 + 1e4,
        gaussian(1, 4),
    ],
)
def test_close_rows_are_no_copies(rows: Tensor) -> None:
    assert torch.equal(with_copies(rows, distinct_rows(rows)), torch.arange(len(rows)))


@pytest.mark.parametrize("n", [0, 1])
def test_no_row_or_one_repeats_nothing(n: int) -> None:
    assert counterparts(torch.zeros(n, 3), torch.zeros(n, 3)) is None
    assert distinct_rows(torch.zeros(2, n, 3)).tolist() == list(range(n))
