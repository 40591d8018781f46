"""Groups: any partner in a row's group is right, and groups stay on one side of a split."""

import sys

import numpy as np
import pytest
import torch

from helpers.manifolds import gaussian
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.metrics import partner_ranks, retrieval_by_dimension, top_matching
from intrinsic_clip.metrics.alignment import directions
from intrinsic_clip.metrics.counterparts import Counterparts, counterparts_of
from intrinsic_clip.metrics.pairing import Pairing


def grouped(groups: int = 40, size: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return different photos and captions of scenes, all of a scene partners, in random order."""
    of = torch.arange(groups).repeat_interleave(size)[torch.randperm(groups * size)]
    scenes = gaussian(groups, 8)
    return (
        scenes[of] + 0.7 * gaussian(len(of), 8, seed=1),
        scenes[of] + 0.7 * gaussian(len(of), 8, seed=2),
        of,
    )


def recall_by_hand(x: np.ndarray, y: np.ndarray, right: np.ndarray, k: int) -> float:
    scores = x @ y.T
    found = [right[row, np.argsort(-scores[row])[:k]].any() for row in range(len(x))]
    return float(np.mean(found))


def test_any_partner_of_the_group_is_right_in_both_directions() -> None:
    x, y, of = grouped()
    both = Pairing.of_rows(x, y, of).counterparts()
    assert both is not None
    right = (of[:, None] == of[None]).numpy()
    assert len(both.of_x) == right.sum()
    assert both.chance == pytest.approx(right.mean())
    ranks = partner_ranks(directions(x), directions(y), both)
    a, b = directions(x).numpy(), directions(y).numpy()
    for k in (1, 5):
        matching = top_matching(ranks, k)
        assert float(matching.x_to_y) == pytest.approx(recall_by_hand(a, b, right, k))
        assert float(matching.y_to_x) == pytest.approx(recall_by_hand(b, a, right.T, k))
    assert "any partner in a row's group" in both.describe()


def test_rows_that_repeat_within_groups_count_once() -> None:
    x, y, of = grouped(20, 3)
    x[of == 3] = x[of == 3][0]
    both = Pairing.of_rows(x, y, of).counterparts()
    assert both is not None
    assert (len(both.x), len(both.y)) == (58, 60)
    assert len(both.of_x) == 20 * 9 - 6


def test_one_row_for_each_group_is_no_group() -> None:
    assert counterparts_of(torch.arange(5), torch.arange(5), torch.tensor([4, 2, 0, 1, 3])) is None


def test_groups_are_held_out_whole() -> None:
    x, y, of = grouped()
    pairing = Pairing.of_rows(x, y, of)
    fitted, measured = pairing.halves(0)
    assert not set(of[fitted].tolist()) & set(of[measured].tolist())
    assert sorted([*fitted.tolist(), *measured.tolist()]) == list(range(160))
    retrieval = retrieval_by_dimension(x, y, (8,), things=pairing)
    right = (of[measured][:, None] == of[measured][None]).numpy()
    a, b = (directions(rows[measured]).numpy() for rows in (x, y))
    assert float(retrieval.full.x_to_y) == pytest.approx(recall_by_hand(a, b, right, 1))


def test_groups_that_no_half_can_do_without_are_refused(monkeypatch) -> None:
    x, y, of = grouped()
    of[:150] = 0
    with pytest.raises(ConfigError, match=r"groups: one group, .*, holds .* of 160 rows"):
        Pairing.of_rows(x, y, of).halves(0)
    monkeypatch.setattr(sys.modules[Counterparts.__module__], "MOST_PAIRS", 1000)
    with pytest.raises(ConfigError, match="right pairs, more than fit into memory; labels="):
        Pairing.of_rows(x, y, of).counterparts()


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_rows_whose_squares_overflow_or_vanish_are_no_copies(scale) -> None:
    x = torch.randn(60, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = x + 0.5 * torch.randn(60, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(Pairing.of_rows(x * scale, y).x, torch.arange(60))
    assert Pairing.of_rows(x * scale, y).counterparts() is None
