"""Partners of some rows, sought among all, against those of every row."""

import pytest
import torch

from intrinsic_clip.dimension.query_search import ask
from intrinsic_clip.dimension.row_source import TensorRows
from intrinsic_clip.metrics import counterparts, partner_ranks, top_matching
from intrinsic_clip.metrics.matching_queries import PartnerCounts

Q = 300


def pairs(n: int, d: int, noise: float, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw pairs of which some rows repeat and one is zero."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, generator=generator)
    y = x + noise * torch.randn(n, d, generator=generator)
    y[10:30] = y[10]
    x[100:105] = x[100]
    x[3] = 0
    return x.to(dtype), y.to(dtype)


@pytest.mark.parametrize(
    ("d", "noise", "dtype"),
    [(16, 0.5, torch.float32), (64, 0.8, torch.float16), (4, 2.0, torch.float64), (8, 30.0, torch.float32)],
)
@pytest.mark.parametrize("repeats", [False, True])
def test_ranks_are_those_of_the_full_search(d, noise, dtype, repeats) -> None:
    n = 1200
    x, y = pairs(n, d, noise, dtype)
    both = counterparts(x, y) if repeats else None
    full, some = partner_ranks(x, y, both), partner_ranks(x, y, both, queries=Q)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    for way in (0, 1):
        asked = order[:Q]
        if both is not None:
            place = torch.full((n,), -1)
            rows = (both.x, both.y)[way]
            place[rows] = torch.arange(len(rows))
            asked = place[order][place[order] >= 0][:Q]
        for expected, counted in zip(full[way], some[way], strict=True):
            assert (expected is None) == (counted is None)
            assert expected is None or torch.equal(expected[asked], counted)


def test_collapsed_rows_match_by_guessing() -> None:
    ones = torch.ones(500, 6)
    ranks = partner_ranks(ones, ones, queries=50)
    assert (ranks.x_to_y.ties == 500).all()
    assert float(top_matching(ranks, 1).x_to_y) == pytest.approx(1 / 500)


def test_values_that_are_not_finite_have_no_rank() -> None:
    x, y = pairs(400, 4, 0.1, torch.float32)
    y[7, 0] = torch.nan
    ranks = partner_ranks(x, y, queries=50)
    assert torch.equal(ranks.x_to_y.ties, torch.zeros(50, dtype=torch.int64))


def test_replicates_share_the_draw() -> None:
    x, y = pairs(500, 6, 1.0, torch.float32)
    both = partner_ranks(torch.stack([x, y]), torch.stack([y, x]), queries=40, seed=5)
    alone = partner_ranks(y, x, queries=40, seed=5)
    assert both.x_to_y.greater.shape == (2, 40)
    assert torch.equal(both.y_to_x.greater[1], alone.y_to_x.greater)
    with pytest.raises(ValueError, match="queries must be a number from 1"):
        partner_ranks(x, y, queries=0)


def test_a_few_coordinates_rule_candidates_out_without_a_change() -> None:
    generator = torch.Generator().manual_seed(0)
    z, turn = torch.randn(3000, 6, generator=generator), torch.randn(6, 128, generator=generator)
    x, y = (z @ turn + 0.1 * torch.randn(3000, 128, generator=generator) for _ in "xy")
    asked = torch.arange(400)
    axes = torch.linalg.eigh((y.T @ y).double()).eigenvectors.flip(1), y[::2]
    counts = [PartnerCounts(x[asked], TensorRows(y), (asked, asked), axes=given) for given in (None, axes)]
    ask(TensorRows(y), counts)
    assert counts[1].reduction is not None
    assert torch.equal(counts[0].greater, counts[1].greater)
    assert torch.equal(counts[0].ties, counts[1].ties)
