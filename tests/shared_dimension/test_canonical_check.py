"""Intervals and words where canonical correlations find more than the encoders."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import intrinsic_clip as ic
from helpers.shared_worlds import tanh_world
from intrinsic_clip.reports.shared_printout import printout
from intrinsic_clip.shared_dimension import command
from intrinsic_clip.shared_dimension.alternatives import alternatives
from intrinsic_clip.shared_dimension.canonical_check import canonical_number, compared
from intrinsic_clip.shared_dimension.own_dimension import OwnDimension
from intrinsic_clip.shared_dimension.pairs import prepare


def drawn(n: int, columns: int, seed: int) -> torch.Tensor:
    return torch.randn(n, columns, generator=torch.Generator().manual_seed(seed))


@pytest.mark.slow
def test_a_small_dimension_that_is_shared_exactly_is_in_the_interval() -> None:
    """Replicates that have not learned it agree on one dimension in every draw."""
    z = drawn(800, 2, 5)
    estimate = ic.shared(z, z @ torch.tensor([[1.0, 1.0], [0.25, -0.25]]))
    assert estimate.interval[1] == 2
    assert estimate.dimension == 2 or str(estimate).startswith("1, 1 to 2 ")


@pytest.mark.slow
def test_a_circle_in_few_pairs_is_no_proof_that_nothing_is_shared() -> None:
    angle = 2 * math.pi * torch.rand(200, 1, generator=torch.Generator().manual_seed(0))
    estimate = ic.shared(angle, torch.cat([angle.cos(), angle.sin()], 1), steps=300, replicates=4)
    assert (estimate.dimension, estimate.interval) == (0, (0, 1))
    assert estimate.text.startswith(
        "nothing is found to be shared: held-out matching is not above chance at the level "
    )
    assert str(estimate).endswith("; CCA finds 1")
    assert sum("CCA finds 1" in note for note in estimate.notes) == 1
    assert any(note.startswith("nothing found is no proof") for note in estimate.notes)
    assert estimate.advice.startswith("no d is known to help")
    others = [{"name": "cca", "value": 1, "note": None}]
    assert command._contradicted(estimate.as_dict(), others) == []  # said once


def found(dimension: int | None, **changes: object) -> ic.SharedDimension:
    estimate = ic.shared(*tanh_world(2, n=300), steps=20, replicates=2)
    text = f"{dimension} (gap 1.7; the next 1.0; shuffled pairs 1.0)"
    ends = (dimension or 1,) * 2
    changes = {
        "dimension": dimension,
        "interval": ends,
        "agreement": 1.0,
        "text": text,
        "notes": [],
        **changes,
    }
    return replace(estimate, doubt=None, bound=None, canonical=None, **changes)


def test_the_interval_ends_where_a_view_has_no_more() -> None:
    narrow = {"x": OwnDimension(2.1, 2, columns=9), "y": OwnDimension(8.0, None, columns=50)}
    widened = compared(found(1), 5, narrow, 24)
    assert (widened.dimension, widened.interval, widened.canonical) == (1, (1, 2), 5)
    assert str(widened) == "1, 1 to 2 since CCA finds 5 (gap 1.7; the next 1.0; shuffled pairs 1.0)"
    estimated = {
        **widened.as_dict(),
        "config": {"data": None, "encoder": None, "x": "a", "y": "b"},
        "dims": {"x": 9, "y": 50},
        "alternatives": [],
    }
    shown = printout(estimated, Path())
    assert "1 to 2 (100 % of draws agree, and CCA finds 5)" in shown
    same = found(2)
    assert compared(same, 5, narrow, 24) == replace(same, canonical_rank=5)
    assert compared(same, None, narrow, 24) == replace(same, canonical_rank=None)


def test_functions_of_wide_views_are_a_note_alone_unless_nothing_is_found() -> None:
    wide = {side: OwnDimension(8.0, None, columns=50) for side in "xy"}
    noted = compared(found(3), 12, wide, 24)
    assert (noted.interval, noted.canonical) == ((3, 3), None)
    assert "CCA finds 12 shared" in noted.notes[0]
    assert "curved functions" in noted.notes[0]
    assert compared(found(0, interval=(0, 0)), 12, wide, 24).interval == (0, 12)
    decays = compared(found(None, effective=4), 12, wide, 24)
    assert (decays.interval, decays.canonical) == ((1, 1), None)
    assert decays.notes[0].startswith("CCA finds 12 shared")
    assert "where the spectrum has no clear gap and most of its weight in 4:" in decays.notes[0]
    assert compared(found(None, effective=12), 12, wide, 24).notes == []


@pytest.mark.parametrize("kind", ["independent", "shared", "in order"])
def test_canonical_correlations_are_of_the_columns_without_decoys(kind: str) -> None:
    x = drawn(400, 3, 1)
    y = x[:, :1] + drawn(400, 2, 2) if kind == "shared" else drawn(400, 2, 3)
    if kind == "in order":
        x, y = x.cumsum(0), y.cumsum(0)
    expected = {"independent": 0, "shared": 1, "in order": None}[kind]
    assert canonical_number(prepare(x, y, 24, 100, 0), 0) == expected


@pytest.mark.parametrize("seed", range(2))
def test_the_table_of_other_methods_has_the_count_that_the_interval_was_compared_with(seed: int) -> None:
    """A weak correlation is found by some permutations and not by others, and the two must not contradict."""
    x = drawn(300, 3, seed)
    y = torch.cat([x[:, :1] + drawn(300, 1, 10 + seed), 0.17 * x[:, 1:2] + drawn(300, 1, 20 + seed)], 1)
    estimate = ic.shared(x, y, steps=20, replicates=2, seed=seed)
    assert estimate.canonical_rank == canonical_number(prepare(x, y, 24, 100, seed), seed)
    other = replace(estimate, canonical_rank=7)  # as if they differed
    answers = {answer["name"]: answer for answer in alternatives(x, y, other, seed)}
    assert answers["cca"]["value"] == 7
