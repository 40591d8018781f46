"""The page and the picture of an estimate of the shared dimension draw the same charts."""

import json
import re
from pathlib import Path

import pytest

from helpers.shared_estimate import ESTIMATED
from intrinsic_clip.reports.chart_panels import panels
from intrinsic_clip.reports.shared_charts import shared_charts
from intrinsic_clip.reports.shared_page import page
from intrinsic_clip.reports.shared_printout import printout
from intrinsic_clip.shared_dimension.wording import verdict_line


def test_charts_have_spectra_of_both_sides_and_the_gap() -> None:
    spectra, ratios = shared_charts(ESTIMATED)
    assert [each["label"] for each in spectra["series"]] == ["x", "x, shuffled pairs", "y"]
    assert [point["y"] for point in spectra["series"][2]["points"]] == [0.8, 0.7, 0.3]
    assert spectra["upright"] == [{"x": 2.5, "label": "2 shared"}]
    assert [point["y"] for point in ratios["series"][0]["points"]] == [1.1, 4.0]
    assert ratios["across"] == [{"y": 1.2, "label": "least gap 1.2"}]
    for undecided in (None, 0):
        assert shared_charts({**ESTIMATED, "dimension": undecided})[0]["upright"] == []


def test_values_that_are_no_numbers_are_left_out() -> None:
    unknown = {"x": [float("inf"), 4.0], "y": [1.1, float("nan")], "both": [1.1, 3.0]}
    ratios = shared_charts({**ESTIMATED, "ratios": unknown})[1]
    assert [[point["y"] for point in each["points"]] for each in ratios["series"]] == [
        [None, 4.0],
        [1.1, None],
    ]
    assert "Infinity" not in page({**ESTIMATED, "ratios": unknown})


def test_the_page_holds_charts_and_no_picture() -> None:
    html = page(ESTIMATED)
    assert "<img" not in html
    assert "data:image" not in html
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', html)
    assert data is not None
    assert json.loads(data[1])["charts"] == shared_charts(ESTIMATED)
    for chart in shared_charts(ESTIMATED):
        assert f'id="chart-{chart["id"]}"' in html
        assert f'aria-label="{chart["title"]}: values"' in html
    assert "<th scope=row>2</th><td>0.8</td><td>0.5</td><td>0.7</td>" in html
    assert "&lt;b&gt;.npy" in html
    assert "<b>" not in html
    assert "standard error" not in html  # none is drawn
    assert "not set: budget, data" in html


def test_the_picture_has_the_lines_of_the_charts() -> None:
    figure = panels(shared_charts(ESTIMATED), "title", rows=1)
    left, right = figure.axes
    assert [line.get_label() for line in left.lines] == ["x", "x, shuffled pairs", "y", "2 shared"]
    assert left.lines[0].get_ydata().tolist() == [0.9, 0.8, 0.2]
    assert right.get_yscale() == "log"
    assert right.lines[-1].get_label() == "least gap 1.2"
    assert right.lines[-1].get_ydata() == pytest.approx([1.2, 1.2])


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, "2 (gap 2.8; the next 1.1; shuffled pairs 1.1)"),
        (
            {"interval": [2, 3], "agreement": 0.57},
            "2, 2 to 3 in 95 % of draws (gap 2.8; the next 1.1; shuffled pairs 1.1)",
        ),
        ({"interval": [2, 3], "agreement": 0.95}, "2 (gap 2.8; the next 1.1; shuffled pairs 1.1)"),
        (
            {
                "interval": [2, 4],
                "agreement": 0.4,
                "text": "2, all that y has (ID 2.1); its spectrum alone says 4 (gap 1.3)",
            },
            "2, 2 to 4 in 95 % of draws, all that y has (ID 2.1); its spectrum alone says 4 (gap 1.3)",
        ),
        (
            {
                "dimension": None,
                "effective": 11,
                "interval": [8, 14],
                "agreement": 0.2,
                "text": "no clear gap: the spectrum decays; 90 % of its weight in 11 (ratio 1.10 at 1)",
            },
            "no clear gap: the spectrum decays; 90 % of its weight in 11, 8 to 14 in 95 % of draws (ratio 1.10 at 1)",
        ),
        (
            {"dimension": None, "doubt": "d", "interval": [1, 3], "agreement": 0.2, "text": "no number 2"},
            "no number 2",
        ),
        ({"dimension": 0, "interval": [0, 0], "text": "nothing is found"}, "nothing is found"),
    ],
)
def test_every_headline_has_the_interval_where_draws_disagree(found, expected) -> None:
    """If fewer draws agree than the interval covers, it holds other numbers, and the number alone is not the result."""
    estimated = {**ESTIMATED, "gap": 2.8, "advice": "a", **found}
    assert verdict_line(estimated) == expected
    assert f"shared dimensions: {expected}" in page(estimated)
    assert f"shared dimensions: {expected}\n" in printout(estimated, Path())


def test_other_methods_have_values_that_are_no_dimensions() -> None:
    others = [{"name": "d", "title": "distance correlation", "value": 0.4, "note": "p = 0.01"}]
    html = page({**ESTIMATED, "alternatives": others, "advice": "a"})
    assert re.search(r"Other methods.*?<th[^>]*>value</th>", html, re.DOTALL)


def test_shares_are_in_one_form() -> None:
    matching = {**ESTIMATED["matching"], "top_1": 1.0, "chance": 0.000625}
    assert "top 1 100 %, chance 0.06 % " in printout(
        {**ESTIMATED, "matching": matching, "advice": "a"}, Path()
    )
