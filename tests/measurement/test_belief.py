"""Which dimension to believe, on clouds of known dimension."""

import warnings

import pytest
import torch

from helpers.manifolds import gaussian
from intrinsic_clip.measurement import measure_embeddings

ESTIMATORS = ["mle", "twonn", "local_pca"]


def believed(x: torch.Tensor, **options) -> dict:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return measure_embeddings(x, estimators=ESTIMATORS, **options)["believed"]["x"]


def test_a_flat_cloud_on_which_all_agree() -> None:
    answer = believed(gaussian(1500, 3) @ torch.linalg.qr(gaussian(20, 3, seed=1)).Q.T)
    headline = answer["headline"]
    assert headline["low"] < headline["value"] < headline["high"]
    assert 2.6 < headline["value"] < 3.2
    assert headline["high"] - headline["low"] < 0.4
    assert not headline["lower_bound"]
    assert answer["agree"]
    assert "All estimates lie within" in answer["text"]
    assert "Believe " in answer["text"]
    assert "60 regions of nearby rows, since neighbourhoods overlap" in answer["text"]


def test_a_curved_surface_has_more_linear_directions() -> None:
    angles = gaussian(1500, 2) @ gaussian(2, 20, seed=1)
    answer = believed(torch.cat([torch.sin(2 * angles), torch.cos(2 * angles)], 1))
    assert 1.7 < answer["headline"]["value"] < 2.6
    assert not answer["agree"]
    assert "as of a curved surface or of noise in many directions" in answer["text"]


def test_noise_of_short_range_is_told() -> None:
    answer = believed(gaussian(1500, 2) @ gaussian(2, 20, seed=1) + 0.05 * gaussian(1500, 20, seed=2))
    assert "noise of short range fills further dimensions" in answer["text"]


def test_too_few_rows_give_a_lower_bound() -> None:
    answer = believed(gaussian(300, 60))
    assert answer["headline"]["lower_bound"]
    assert "300 rows are too few" in answer["text"]
    assert "Believe at least" in answer["text"]


def test_near_duplicates_show_no_dimension() -> None:
    rows = gaussian(300, 5).double()
    answer = believed(torch.cat([rows, rows + 1e-9 * gaussian(300, 5, seed=1)]))
    assert answer["headline"] is None
    assert "near-duplicates" in answer["text"]
    assert "No number is to be believed" in answer["text"]


@pytest.mark.parametrize("rows", [torch.ones(200, 4), torch.arange(200.0)[:, None].expand(200, 3)])
def test_rows_without_a_spread_are_survived(rows) -> None:
    assert "text" in believed(rows + 0)


def test_rows_that_are_asked_among_many_have_the_same_answer() -> None:
    x = gaussian(2000, 3) @ gaussian(3, 10, seed=1)
    whole, asked = believed(x), believed(x, queries=800)
    assert abs(whole["headline"]["value"] - asked["headline"]["value"]) < 0.3
    assert asked["headline"]["low"] < asked["headline"]["value"] < asked["headline"]["high"]


@pytest.mark.parametrize("distance", [3.0, 1000.0])
def test_a_mean_far_from_the_origin_says_nothing_of_the_directions(distance: float) -> None:
    rows = gaussian(1500, 12, seed=3)
    assert "about the origin" not in believed(rows)["text"]
    text = believed(rows + distance)["text"]
    assert "much the same: the rows lie near a flat subspace" in text
    assert "Effective rank, " in text
    assert "is of rows about the origin" in text
    assert "few directions hold most" not in text
