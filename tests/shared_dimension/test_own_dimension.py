"""No more can be shared than either view has."""

import html
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.shared_worlds import tanh_world
from intrinsic_clip.reports.shared_printout import printout
from intrinsic_clip.shared_dimension.estimate import shared
from intrinsic_clip.shared_dimension.own_dimension import OwnDimension, bounded, own_dimension
from intrinsic_clip.shared_dimension.result import SharedDimension


def lifted(dimension: int, heavy: bool = False) -> torch.Tensor:
    """Return 3,000 rows on a curved manifold in 40 columns."""
    generator = torch.Generator().manual_seed(dimension)
    z = torch.randn(3000, dimension, generator=generator)
    if heavy:
        z = z / torch.randn(3000, dimension, 3, generator=generator).square().mean(-1).sqrt()
    return torch.sin(z @ torch.randn(dimension, 40, generator=generator))


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_a_low_dimension_bounds(dimension) -> None:
    estimate, most, doubt, _ = own_dimension(lifted(dimension), 0)
    assert doubt is None
    assert most == dimension
    assert estimate == pytest.approx(dimension, rel=0.15)


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("dimension", [4, 6, 9])
def test_a_higher_dimension_never_cuts_what_is_shared(dimension, heavy) -> None:
    most = own_dimension(lifted(dimension, heavy), 0).most
    assert most is None or most >= dimension


def test_few_distinct_rows_have_no_dimension() -> None:
    estimate, most, _, columns = own_dimension(torch.eye(10)[torch.arange(500) % 10], 0)
    assert math.isnan(estimate)
    assert (most, columns) == (None, 10)


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


def without_gap(**changes: object) -> SharedDimension:
    """Return an estimate whose spectrum has no gap, and says 17."""
    text = "no clear gap: the spectrum decays; 90 % of its weight in 17 (ratio 1.0 at 1)"
    found = replace(shared(*tanh_world(2, n=300), steps=20, replicates=2), dimension=None, doubt=None)
    found = replace(found, sides={"x": None, "y": None}, effective=17, interval=(3, 19), text=text)
    return replace(found, draws=(3, 16, 17, 18, 19), agreement=0.2, **changes)


def test_a_spectrum_without_a_gap_claims_no_more_than_a_view_has() -> None:
    own = {"x": OwnDimension(4.4, None, columns=4), "y": OwnDimension(9.0, None, columns=12)}
    lowered = bounded(without_gap(), own)
    assert (lowered.dimension, lowered.number, lowered.interval) == (None, 4, (1, 4))
    assert lowered.agreement == 0.8
    assert str(lowered).startswith(
        "at most 4, all that x has (4 columns); the spectrum alone says no clear gap: "
    )
    assert "weight in 17 (" in str(lowered)
    assert lowered.advice.startswith(
        "d = 5 holds the 4 dimensions of a view; how many are shared cannot be told"
    )
    few = bounded(without_gap(), {"x": OwnDimension(9.0, None, columns=18)})
    assert (few.number, few.interval, few.bound) == (17, (3, 18), None)
    trusted = bounded(without_gap(), {"x": OwnDimension(2.1, 2, columns=40)})
    assert (trusted.number, str(trusted)[:36]) == (2, "at most 2, all that x has (ID 2.1); ")


def test_a_spectrum_as_flat_as_noise_has_no_narrow_interval() -> None:
    flat = without_gap(doubt="more pairs are needed")
    lowered = bounded(replace(flat, interval=(16, 19)), {"x": OwnDimension(9.0, None, columns=5)})
    assert (lowered.effective, lowered.interval, lowered.number) == (5, (1, 5), 0)
    assert lowered.text == flat.text


def test_a_bound_is_printed_without_draws() -> None:
    lowered = bounded(without_gap(), {"x": OwnDimension(4.4, None, columns=4)})
    config = {"data": None, "encoder": None, "x": "a", "y": "b"}
    shown = printout({**lowered.as_dict(), "config": config, "dims": {}, "alternatives": []}, Path())
    assert re.search(r"effective number +at most 4\n", shown)
    assert "of draws" not in shown


def test_a_gap_behind_more_directions_than_columns_is_lowered() -> None:
    found = replace(without_gap(), dimension=6, interval=(6, 6), draws=(6, 6), text="6 (gap 1.3)")
    lowered = bounded(found, {"x": OwnDimension(5.0, None, columns=5), "y": OwnDimension(9.0, None)})
    assert (lowered.dimension, lowered.interval) == (5, (5, 5))
    assert lowered.text == "5, all that x has (5 columns); its spectrum alone says 6 (gap 1.3)"


@pytest.mark.parametrize("doubt", [None, "more pairs are needed"])
def test_a_view_of_one_column_shares_one_dimension_where_any_is_shared(doubt) -> None:
    lowered = bounded(without_gap(doubt=doubt), {"x": OwnDimension(1.0, 1, columns=1)})
    assert (lowered.dimension, lowered.interval, lowered.agreement, lowered.doubt) == (1, (1, 1), 1.0, None)
    assert lowered.text.startswith("1, all that x has (1 column); the spectrum alone says no clear gap")
    nothing = replace(without_gap(), dimension=0, interval=(0, 0))
    assert bounded(nothing, {"x": OwnDimension(1.0, 1, columns=1)}).dimension == 0


def test_a_column_of_two_values_shares_no_seventeen_dimensions() -> None:
    generator = torch.Generator().manual_seed(1)
    x = (torch.rand(1000, 1, generator=generator) < 0.5).double()
    noise = torch.randn(1000, 3, generator=generator)
    found = shared(x, torch.cat([x + 0.3 * noise[:, :1], noise[:, 1:]], 1), steps=60, replicates=2)
    assert found.dimension == 1
    assert not any("lower bound" in note for note in found.notes)


def test_an_estimate_shows_itself_in_a_notebook() -> None:
    estimate = shared(*tanh_world(2, n=300), steps=20, replicates=2)
    assert repr(estimate) == f"shared dimensions: {estimate}"
    page = estimate._repr_html_()
    assert page.count("<polyline") == 2
    assert str(estimate) in html.unescape(page)
    ax = estimate.plot()
    assert [line.get_label() for line in ax.lines][:4] == ["x", "x, shuffled pairs", "y", "y, shuffled pairs"]
    assert ax.lines[0].get_ydata().tolist() == estimate.spectrum["x"][: len(ax.lines[0].get_ydata())]
