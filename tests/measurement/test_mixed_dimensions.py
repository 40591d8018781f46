"""Rows of two local dimensions, and rows that only look like it."""

import pytest
import torch

from helpers.manifolds import gaussian
from intrinsic_clip.dimension import nearest_neighbours
from intrinsic_clip.measurement.mixed_dimensions import mixture


def test_the_groups_have_their_share_and_their_dimensions() -> None:
    rows = gaussian(1500, 7).double()
    rows[:600, 2:] = 9.0
    found = mixture(nearest_neighbours(rows, 100))
    assert found is not None
    assert found.share == pytest.approx(0.4, abs=0.03)
    assert found.low == pytest.approx(2, rel=0.1)
    assert found.high == pytest.approx(7, rel=0.2)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dimension", [1, 3, 10, 30])
def test_one_dimension_is_no_mixture(dimension: int, seed: int) -> None:
    assert mixture(nearest_neighbours(gaussian(300, dimension, seed=seed).double(), 100)) is None


def test_uneven_density_is_no_mixture() -> None:
    rows = gaussian(1000, 4).double()
    rows[:500] *= 0.05
    assert mixture(nearest_neighbours(rows, 100)) is None


@pytest.mark.parametrize(
    "rows",
    [
        gaussian(100, 3),
        torch.arange(300.0)[:, None] @ torch.ones(1, 3),
        torch.cartesian_prod(torch.arange(20.0), torch.arange(20.0)),
    ],
)
def test_few_rows_and_even_steps_are_survived(rows: torch.Tensor) -> None:
    assert mixture(nearest_neighbours(rows, 80)) is None


def test_few_neighbours_show_no_groups() -> None:
    rows = gaussian(500, 7)
    rows[:250, 2:] = 9.0
    assert mixture(nearest_neighbours(rows, 30)) is None
