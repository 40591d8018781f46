"""The page and the picture of an estimate of the shared dimension draw the same charts."""

import json
import re

import pytest

from helpers.shared_estimate import ESTIMATED
from intrinsic_clip.reports.chart_panels import panels
from intrinsic_clip.reports.shared_charts import shared_charts
from intrinsic_clip.reports.shared_page import page


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
