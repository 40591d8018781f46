"""No more can be shared than either view has."""

import html
import math
from dataclasses import replace

import pytest
import torch

from helpers.shared_worlds import tanh_world
from intrinsic_clip.shared_dimension.estimate import shared
from intrinsic_clip.shared_dimension.own_dimension import OwnDimension, bounded, own_dimension


def lifted(dimension: int, heavy: bool = False) -> torch.Tensor:
    """Return 3,000 rows on a curved manifold in 40 columns."""
    generator = torch.Generator().manual_seed(dimension)
    z = torch.randn(3000, dimension, generator=generator)
    if heavy:
        z = z / torch.randn(3000, dimension, 3, generator=generator).square().mean(-1).sqrt()
    return torch.sin(z @ torch.randn(dimension, 40, generator=generator))


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_a_low_dimension_bounds(dimension) -> None:
    estimate, most, doubt = own_dimension(lifted(dimension), 0)
    assert doubt is None
    assert most == dimension
    assert estimate == pytest.approx(dimension, rel=0.15)


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("dimension", [4, 6, 9])
def test_a_higher_dimension_never_cuts_what_is_shared(dimension, heavy) -> None:
    most = own_dimension(lifted(dimension, heavy), 0).most
    assert most is None or most >= dimension


def test_few_distinct_rows_have_no_dimension() -> None:
    estimate, most, _ = own_dimension(torch.eye(10)[torch.arange(500) % 10], 0)
    assert math.isnan(estimate)
    assert most is None


def test_the_verdict_says_what_bounds_it() -> None:
    estimate = shared(*tanh_world(2, n=300), steps=20, replicates=2)
    estimate = replace(estimate, dimension=4, sides={"x": None, "y": 4}, interval=(2, 5), text="4 (gap 1.3)")
    estimate = replace(estimate, draws=(2, 3, 4, 4, 5))
    own = {"x": OwnDimension(9.0, None), "y": OwnDimension(2.9, 3)}
    lowered = bounded(estimate, own)
    assert lowered.agreement == 0.8
    assert (lowered.dimension, lowered.sides, lowered.interval) == (3, {"x": None, "y": 3}, (2, 3))
    assert lowered.text == "3, all that y has (ID 2.9); its spectrum alone says 4 (gap 1.3)"
    assert bounded(replace(estimate, dimension=2), own).text == "4 (gap 1.3)"


def test_an_estimate_shows_itself_in_a_notebook() -> None:
    estimate = shared(*tanh_world(2, n=300), steps=20, replicates=2)
    assert repr(estimate) == f"shared dimensions: {estimate}"
    page = estimate._repr_html_()
    assert page.count("<polyline") == 2
    assert str(estimate) in html.unescape(page)
    ax = estimate.plot()
    assert [line.get_label() for line in ax.lines][:4] == ["x", "x, shuffled pairs", "y", "y, shuffled pairs"]
    assert ax.lines[0].get_ydata().tolist() == estimate.spectrum["x"][: len(ax.lines[0].get_ydata())]
