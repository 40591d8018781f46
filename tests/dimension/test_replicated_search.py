"""Neighbours of many replicates at once are those of each alone."""

import sys

import pytest
import torch
from torch import Tensor

from intrinsic_clip.dimension import nearest_neighbours, replicated_search
from intrinsic_clip.dimension.replicated_search import search_together, worth_it


def points(b: int, n: int, d: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(b, n, d, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_neighbours_are_those_of_each_replicate_alone(dtype: torch.dtype, scale: float) -> None:
    rows = points(5, 120, 7, torch.float64).mul(scale).to(dtype)
    alone, together = nearest_neighbours(rows, 9), search_together(rows, 9)
    done = together.done
    assert done.any() if dtype == torch.bfloat16 else done.all()
    torch.testing.assert_close(together.distances[done], alone.distances[done], rtol=1e-9, atol=0)
    torch.testing.assert_close(together.indices[done], alone.indices[done])
    torch.testing.assert_close(together.dims, alone.dims)


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300])
def test_numbers_whose_squares_float64_does_not_hold(scale: float) -> None:
    rows = points(2, 60, 4, torch.float64) * scale
    alone, together = nearest_neighbours(rows, 5), search_together(rows, 5)
    assert together.done.all()
    torch.testing.assert_close(together.distances, alone.distances, rtol=1e-9, atol=0)


def test_replicates_are_taken_a_few_at_a_time_where_memory_is_short(monkeypatch) -> None:
    rows = points(5, 60, 4)
    monkeypatch.setattr(replicated_search, "BLOCK_BYTES", 2 * 4 * 60 * 60)
    torch.testing.assert_close(
        search_together(rows, 3).distances, nearest_neighbours(rows, 3).distances, rtol=1e-9, atol=0
    )


def test_replicates_with_copies_or_numbers_that_are_not_finite_are_left_to_the_other_search() -> None:
    rows = points(4, 50, 3)
    rows[1, 7] = rows[1, 30]
    rows[2, 0, 0] = torch.nan
    assert search_together(rows, 5).done.tolist() == [True, False, False, True]


def test_points_that_lie_too_close_together_for_float32_are_searched_with_more_digits() -> None:
    rows = points(2, 80, 3, torch.float64)
    rows[0] = 1e2 + 1e-3 * rows[0]
    rows[0, :40] -= 2e2
    alone, together = nearest_neighbours(rows, 4), search_together(rows, 4)
    assert together.done.all()
    torch.testing.assert_close(together.distances, alone.distances, rtol=1e-9, atol=0)


def test_all_points_are_each_others_neighbours_where_k_is_as_large_as_can_be() -> None:
    rows = points(3, 6, 2)
    torch.testing.assert_close(
        search_together(rows, 5).distances, nearest_neighbours(rows, 5).distances, rtol=1e-9, atol=0
    )


@pytest.mark.filterwarnings("ignore:.*exact duplicates|.*NaN or infinity")
def test_the_search_takes_together_what_it_can(monkeypatch) -> None:
    rows = points(5, 70, 4)
    rows[1, 3] = rows[1, 9]
    rows[2, 0, 0] = torch.nan
    rows[3, :, 1:] = 0
    alone = nearest_neighbours(rows, 6)
    monkeypatch.setattr(sys.modules[nearest_neighbours.__module__], "worth_it", lambda points, k: True)
    together = nearest_neighbours(rows, 6)
    torch.testing.assert_close(together.distances, alone.distances, rtol=1e-9, atol=0, equal_nan=True)
    for part in ("indices", "valid", "dims"):
        assert torch.equal(getattr(together, part), getattr(alone, part))


def test_a_cpu_takes_one_replicate_after_the_other() -> None:
    assert not worth_it(points(4, 50, 3), 5)
