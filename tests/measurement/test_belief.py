"""Which dimension to believe, on clouds of known dimension."""

import warnings

import pytest
import torch

from helpers.manifolds import gaussian
from intrinsic_clip.measurement import measure_embeddings
from intrinsic_clip.measurement.belief import _agreement, _of_linear

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


@pytest.mark.parametrize(
    ("spread", "said"),
    [
        (0.004, "all estimates lie within 1 % of the smallest"),
        (0.05, "all estimates lie within 5 % of the smallest"),
        (0.053, "all estimates lie within 6 % of the smallest"),
        (0.0, "all estimates are equal"),
    ],
)
def test_estimates_that_differ_lie_within_more_than_nothing(spread, said) -> None:
    assert _agreement(spread) == said


def test_a_curved_surface_has_more_linear_directions() -> None:
    angles = gaussian(1500, 2) @ gaussian(2, 20, seed=1)
    answer = believed(torch.cat([torch.sin(2 * angles), torch.cos(2 * angles)], 1))
    assert 1.7 < answer["headline"]["value"] < 2.6
    assert not answer["agree"]
    assert "as of a curved surface or of noise in many directions" in answer["text"]


def test_noise_of_short_range_is_told() -> None:
    answer = believed(gaussian(1500, 2) @ gaussian(2, 20, seed=1) + 0.05 * gaussian(1500, 20, seed=2))
    assert "noise of short range fills further dimensions" in answer["text"]


@pytest.mark.parametrize(("m", "columns"), [(3, 20), (2, 10)])
def test_noise_that_raises_the_value_is_told(m: int, columns: int) -> None:
    noise = 0.1 * gaussian(1000, columns, seed=2)
    basis = torch.linalg.qr(gaussian(columns, m, seed=1)).Q.T
    answer = believed(gaussian(1000, m) @ basis + noise)
    assert answer["headline"]["value"] > 1.1 * m
    assert "from noise of short range, which makes the value too high" in answer["text"]
    assert "more rows would show more dimensions or more of the noise" in answer["text"]
    assert "a fifth too low" not in answer["text"]


@pytest.mark.parametrize(("few", "many", "share"), [(2, 8, 0.5), (3, 6, 0.5), (1, 4, 0.2), (2, 8, 0.8)])
def test_rows_of_two_dimensions_are_told(few: int, many: int, share: float) -> None:
    rows, size = gaussian(1000, many), round(1000 * share)
    rows[:size, few:] = 9.0
    text = believed(rows)["text"]
    assert "Rows of different dimensions are mixed" in text
    assert float(text.split("of them have about ")[1].split()[0]) == pytest.approx(few, rel=0.1)
    assert "one value describes neither" in text
    assert "too low" not in text


@pytest.mark.parametrize("size", [25, 50, 64, 100])
def test_clusters_about_as_large_as_neighbourhoods_have_one_dimension(size: int) -> None:
    places = torch.arange(1000) % (1000 // size)
    rows = gaussian(1000, 4) @ gaussian(4, 20, seed=1) + 30 * gaussian(1000 // size, 20, seed=2)[places]
    assert "are mixed" not in believed(rows)["text"]


def test_edges_of_small_clusters_are_not_called_noise_for_sure() -> None:
    rows = gaussian(1000, 9) @ gaussian(9, 20, seed=1) + 30 * gaussian(10, 20, seed=2).repeat(100, 1)
    answer = believed(rows)
    assert answer["headline"]["value"] < 0.8 * 9
    assert "or from the edges of small clusters, which make the value too low" in answer["text"]
    assert "at most a fifth" not in answer["text"]


def test_narrow_directions_are_not_promised_to_count() -> None:
    """Check a Gaussian of six dimensions that halve: a third of them is missing, with a small reach."""
    answer = believed(gaussian(1000, 6) * 0.5 ** torch.arange(6))
    assert answer["headline"]["value"] < 0.8 * 6
    assert answer["headline"]["reach"] < 0.5
    assert "at most a fifth too low, unless some directions are far narrower than others" in answer["text"]


def test_too_few_rows_give_a_lower_bound() -> None:
    answer = believed(gaussian(300, 60))
    assert answer["headline"]["lower_bound"]
    assert "300 rows are too few" in answer["text"]
    assert "noise, if there is any, counts as dimensions too" in answer["text"]
    assert "Believe at least" in answer["text"]


def test_near_duplicates_show_no_dimension() -> None:
    rows = gaussian(300, 5).double()
    answer = believed(torch.cat([rows, rows + 1e-9 * gaussian(300, 5, seed=1)]))
    assert answer["headline"] is None
    assert "near-duplicates" in answer["text"]
    assert "No number is to be believed" in answer["text"]


def noisy(seed: int, rows: int = 800) -> torch.Tensor:
    """Return five dimensions with noise in twenty, whose curve against scale slopes."""
    directions = gaussian(5, 20, seed=99)
    return gaussian(rows, 5, seed=seed) @ directions + 0.3 * gaussian(rows, 20, seed=1000 + seed)


def test_the_interval_covers_the_choice_of_the_scale() -> None:
    headlines = [believed(noisy(seed))["headline"] for seed in range(20)]
    mean = sum(each["value"] for each in headlines) / len(headlines)
    assert len({each["at"] for each in headlines}) > 1  # the level part is another in other samples
    assert sum(each["low"] <= mean <= each["high"] for each in headlines) >= 17


def shared(seed: int, noise: float) -> torch.Tensor:
    """Return eight dimensions with noise in 64, whose curve against scale falls with each doubling."""
    directions = gaussian(8, 64, seed=99)
    return gaussian(1000, 8, seed=seed) @ directions + noise * gaussian(1000, 64, seed=1000 + seed)


def test_a_curve_that_slopes_everywhere_has_no_level_part() -> None:
    answer = believed(shared(0, 0.7))
    headline = answer["headline"]
    assert headline["estimator"] == "MLE"
    assert headline["low"] < headline["value"] < headline["high"]
    assert (
        "MLE at the scale of 20 neighbours, since the curve of GRIDE against scale is nowhere level"
        in (answer["text"])
    )


def test_the_interval_covers_the_choice_of_the_estimator() -> None:
    headlines = [believed(shared(seed, 0.5))["headline"] for seed in range(20)]
    assert {each["estimator"] for each in headlines} == {"GRIDE", "MLE"}
    mean = sum(each["value"] for each in headlines) / len(headlines)
    assert sum(each["low"] <= mean <= each["high"] for each in headlines) >= 17


@pytest.mark.parametrize("factor", [1e30, 1e-30, 1e20])
def test_the_interval_does_not_depend_on_the_unit(factor: float) -> None:
    rows = gaussian(600, 4).double()
    ours, scaled = believed(rows)["headline"], believed(rows * factor)["headline"]
    assert scaled["low"] == pytest.approx(ours["low"], rel=1e-3)
    assert scaled["high"] == pytest.approx(ours["high"], rel=1e-3)


@pytest.mark.parametrize(
    ("rows", "most"),
    [
        (torch.rand(2500, 8, generator=torch.Generator().manual_seed(2)), "at most a fifth too low"),
        (torch.rand(1000, 16, generator=torch.Generator().manual_seed(0)), "up to a third too low"),
    ],
)
def test_cubes_lack_no_more_than_is_said(rows: torch.Tensor, most: str) -> None:
    answer = believed(rows)
    assert most in answer["text"]
    assert answer["headline"]["value"] > rows.shape[1] * (0.8 if "fifth" in most else 0.66)


@pytest.mark.parametrize("rows", [torch.ones(200, 4), torch.arange(200.0)[:, None].expand(200, 3)])
def test_rows_without_a_spread_are_survived(rows) -> None:
    text = believed(rows + 0)["text"]
    assert "much the same" not in text
    assert "No number is to be believed" in text


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


def test_linear_numbers_on_both_sides_of_the_others_are_not_called_fewer() -> None:
    """Check a cloud of few large and several small variances, and one of which both linear numbers are small."""
    values = {}
    for name, scales in (("both", [1, 1, 1, 0.6, 0.1, 0.1, 0.1, 0.1]), ("fewer", [1, 0.2, 0.2, 0.2])):
        rows = gaussian(1500, len(scales)) * torch.tensor(scales)
        numbers = measure_embeddings(rows, estimators=["mle"])
        estimates = {row["name"]: row["value"] for row in numbers["estimates"]}
        text = numbers["believed"]["x"]["text"]
        linear = [estimates[f"spectrum/{kind}"] for kind in ("participation_ratio", "effective_rank")]
        values[name] = (estimates["id/mle"], linear, text)
    mle, (participation, effective), text = values["both"]
    assert participation < mle / 1.25 < mle < effective
    assert (
        "fewer by the participation ratio, since few directions hold most of the variance, but not by" in text
    )
    mle, linear, text = values["fewer"]
    assert max(linear) < mle
    assert ": fewer, since few directions hold most of the variance." in text


def test_a_participation_ratio_below_the_others_is_no_upper_bound() -> None:
    rows = gaussian(1000, 6) @ gaussian(6, 40, seed=1) + 0.8 * gaussian(1000, 40, seed=2)
    numbers = measure_embeddings(rows, estimators=["mle", "twonn"])
    estimates = {row["name"]: row["value"] for row in numbers["estimates"]}
    assert estimates["spectrum/participation_ratio"] < estimates["id/mle"]
    text = numbers["believed"]["x"]["text"]
    assert "by the participation ratio no more, since few directions hold most of the variance" in text
    assert "upper bounds" not in text


@pytest.mark.parametrize(("twonn", "bounds"), [(9.0, True), (12.0, False)])
def test_linear_numbers_are_upper_bounds_of_no_larger_one(twonn: float, bounds: bool) -> None:
    linear = {"participation ratio": 9.5, "effective rank": 40.0}
    (clause,) = _of_linear(linear, {"MLE": 5.0, "TLE": 5.2, "TwoNN": twonn})
    assert "7.7 times as many" in clause
    assert bounds == ("upper bounds" in clause)
    assert "effective rank, which weighs small variances more, the higher one" in clause
