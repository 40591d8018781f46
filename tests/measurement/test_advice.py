"""Advice on how many dimensions to keep."""

import re

import numpy as np
import pytest

import intrinsic_clip as ic
from helpers.shared_latent import QUICK, SHARED, WIDTH, measurement_below, shared_latent
from intrinsic_clip.measurement.advice import _intrinsic

pytestmark = pytest.mark.slow


def test_advice_finds_the_shared_dimensions(command_line, capsys, tmp_path) -> None:
    x, y = shared_latent(2000, 0.25, 0.01)
    np.save("x.npy", x)
    np.save("y.npy", y)
    assert command_line("measure", "x=x.npy", "y=y.npy", *QUICK) == 0
    measurement = measurement_below(tmp_path)
    assert measurement["advice"]["dims"] == SHARED
    assert measurement["metrics"]["sufficient_dimension/principal"] == measurement["advice"]["dims"]
    curve = measurement["curves"]["retrieval/principal"]
    recall = dict(zip(curve["at"], curve["value"], strict=True))
    assert (
        recall[measurement["advice"]["dims"]]
        >= 0.99 * recall[WIDTH]
        > recall[measurement["advice"]["dims"] - 1]
    )
    advice = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("advice: "))
    assert re.search(
        r"8 of 64 dimensions keep retrieval within one standard error \(recall@1 0\.\d+ of 0\.\d+ ± 0\.\d+, "
        r"paired difference [+-]?0\.\d+ ± 0\.\d+, 1,000 held-out pairs",
        advice,
    )
    assert "1,000 held-out pairs" in advice
    assert "8 to 64 dimensions are not told apart by so few pairs" in advice
    assert "a plain prefix (truncate_dim) needs 64 (recall@1 0." in advice
    assert re.search(
        r"the cheapest form within one standard error is \d+ .*, \d+ bytes per row of 256", advice
    )
    assert re.search(r"intrinsic dimension x 7\.\d+ \(\d\.\d+ to \d\.\d+\), y 7", advice)


def test_advice_tells_when_fewer_dimensions_are_better(command_line, capsys) -> None:
    x, y = shared_latent(2000, 0.15, 0.15)
    np.save("x.npy", x)
    np.save("y.npy", y)
    assert command_line("measure", "x=x.npy", "y=y.npy", *QUICK) == 0
    assert re.search(r"; recall is highest, 0\.9\d+, with 8; ", capsys.readouterr().out)


def test_advice_warns_where_recall_has_nothing_to_lose(command_line, capsys) -> None:
    x, _ = shared_latent(600, 0.1, 0.1)
    np.save("x.npy", x)
    assert command_line("measure", "x=x.npy", "y=x.npy", *QUICK) == 0
    assert (
        "nearly every partner is found; among more rows, more dimensions may be needed"
        in capsys.readouterr().out
    )


def test_advice_for_x_alone_says_what_it_does_not_know(command_line, capsys, tmp_path, pair) -> None:
    assert command_line("measure", "x=x.npy", *QUICK) == 0
    measurement = measurement_below(tmp_path)
    held = int(measurement["metrics"]["spectrum/components_99pct/x"])
    shown = capsys.readouterr().out
    assert f"advice: {held} of 64 principal components hold 99 % of the variance of x; intrinsic dim" in shown
    assert "How few are enough for retrieval can be measured on pairs only" in shown
    assert not any("retrieval" in name or name.endswith("/y") for name in measurement["metrics"])


def test_pairs_that_do_not_match_get_no_advice(command_line, capsys, tmp_path, pair) -> None:
    np.save("y.npy", pair[1][np.random.default_rng(1).permutation(600)])
    assert command_line("measure", "x=x.npy", "y=y.npy", *QUICK) == 0
    assert "matched no better than by guessing" in capsys.readouterr().out
    assert measurement_below(tmp_path)["advice"]["dims"] is None


def test_advice_gives_no_dimension_of_a_side_that_shows_none(command_line, capsys, tmp_path) -> None:
    """Check images with five near captions each, whose estimates are those of groups: MLE of y is far too low."""
    z = np.random.default_rng(0).normal(size=(300, 6)) @ np.random.default_rng(1).normal(size=(6, 24))
    captions = np.repeat(z, 5, 0) + 0.3 * np.random.default_rng(2).normal(size=(1500, 24))
    np.save("x.npy", z)
    np.save("y.npy", captions)
    np.save("of.npy", np.repeat(np.arange(300), 5))
    assert command_line("measure", "x=x.npy", "y=y.npy", "groups=of.npy", *QUICK) == 0
    believed = measurement_below(tmp_path)["believed"]
    assert believed["x"]["headline"] is not None
    assert "rows come in groups" in believed["y"]["doubt"]
    advice = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("advice: "))
    assert re.search(r"intrinsic dimension x \d\.\d+ \(\d\.\d+ to \d\.\d+\), y none to believe", advice)


def test_a_side_without_an_interval_has_the_number_of_an_estimator() -> None:
    rows = [
        {"name": "id/mle", "side": side, "value": 5.0, "standard_error": 0.25, "k": 20, "n": 500}
        for side in "xyz"
    ]
    headline = {"value": 7.0, "low": 6.5, "high": 7.5, "lower_bound": True}
    believed = {"x": {"headline": headline, "doubt": None}, "y": {"headline": None, "doubt": None}}
    assert _intrinsic({"estimates": rows, "believed": believed}) == (
        "intrinsic dimension x at least 7 (6.5 to 7.5), y 5.00 ± 0.25"
    )
    assert _intrinsic({"estimates": rows}) == "intrinsic dimension x 5.00 ± 0.25, y 5.00 ± 0.25"
    rows[1]["value"] = None
    assert _intrinsic({"estimates": rows, "believed": believed}).endswith("(6.5 to 7.5), y no estimate")


@pytest.mark.parametrize("rows", ["counts", "codes"])
def test_no_dimension_to_believe_is_no_number_of_coordinates(rows) -> None:
    """It said: none to believe, the fewest coordinates that a nonlinear map could keep."""
    generator = np.random.default_rng(0)
    x = generator.poisson(3, (300, 12)) if rows == "counts" else generator.normal(size=(300, 24)) > 0
    text = ic.measure_embeddings(x.astype(float), estimators=["mle"]).advice["text"]
    assert "intrinsic dimension x none to believe. " in text
    assert "fewest coordinates" not in text


@pytest.mark.parametrize("rows", ["noisy", "mixed"])
def test_a_distorted_dimension_is_no_number_of_coordinates(rows) -> None:
    """A nonlinear map of noisy rows needs fewer, and one of a mixture as many as those of the most dimensions."""
    draw = np.random.default_rng(0)
    x = np.zeros((1000, 32))
    if rows == "noisy":
        x[:, :3] = draw.normal(size=(1000, 3))
        x += 0.1 * draw.normal(size=x.shape)
    else:
        x[:500, :2], x[500:, :8] = draw.normal(size=(500, 2)), 4 + draw.normal(size=(500, 8))
    found = {
        "noisy": "; too high by noise or too low by",
        "mixed": "; rows of different dimensions are mixed)",
    }
    text = ic.measure_embeddings(x, estimators=["mle"]).advice["text"]
    assert found[rows] in text
    assert "fewest coordinates" not in text
