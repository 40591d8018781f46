"""Ranks and bounds of many replicates at once are those of each alone."""

import math

import pytest
import torch
from torch import Tensor

from intrinsic_clip.metrics import infonce_bound, partner_ranks, replicated_pairs, uniformity
from intrinsic_clip.metrics.alignment import directions
from intrinsic_clip.metrics.replicated_pairs import cross_entropies, log_sums, partner_counts, worth_it


def pair(b: int = 4, n: int = 50, d: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(b, n, d, generator=generator)
    return x, x + 0.5 * torch.randn(b, n, d, generator=generator)


@pytest.fixture(params=[2**31, 24 * 50 * 50 * 3])
def _block(request, monkeypatch) -> None:
    monkeypatch.setattr(replicated_pairs, "BLOCK_BYTES", request.param)


@pytest.mark.usefixtures("_block")
def test_counts_are_those_of_each_replicate_alone() -> None:
    x, y = pair()
    y[1] = 1.0  # all candidates tie
    x[2, 3, 0] = math.nan
    ranks, counts = partner_ranks(x, y), partner_counts(x, y)
    for expected, got in zip([*ranks.x_to_y[:2], *ranks.y_to_x[:2]], counts, strict=True):
        torch.testing.assert_close(got, expected)


def test_ranks_are_counted_together_where_that_is_worth_it(monkeypatch) -> None:
    x, y = (rows.reshape(2, 2, 50, 6) for rows in pair())
    alone = partner_ranks(x, y)
    monkeypatch.setattr(replicated_pairs, "worth_it", lambda x: True)
    for expected, got in zip(alone, partner_ranks(x, y), strict=True):
        torch.testing.assert_close(got[:2], expected[:2])


@pytest.mark.usefixtures("_block")
def test_bounds_are_those_of_each_replicate_alone() -> None:
    x, y = pair()
    tau = torch.tensor([1.0, 0.1, 0.01, 1e-3])
    bound = infonce_bound(x, y, tau)
    x_to_y, y_to_x = math.log(50) - cross_entropies(x, y, tau)
    torch.testing.assert_close(x_to_y, bound.x_to_y, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(y_to_x, bound.y_to_x, rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("_block")
def test_potentials_are_those_of_each_replicate_alone() -> None:
    x, _ = pair()
    expected = uniformity(x, t=2.0) + math.log(50 * 49 / 2)
    torch.testing.assert_close(log_sums(directions(x), 2.0), expected)


def test_a_cpu_takes_one_replicate_after_the_other() -> None:
    assert not worth_it(pair()[0])
