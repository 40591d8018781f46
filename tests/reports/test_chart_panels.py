"""Charts as panels of a picture."""

import warnings

import pytest
from matplotlib.collections import LineCollection

from intrinsic_clip.reports.chart_panels import panels, png
from intrinsic_clip.reports.chart_series import points, series


def chart(number: int) -> dict:
    return {
        "id": f"chart-{number}",
        "title": f"Chart {number}",
        "x": {"label": "place"},
        "y": {"label": "value"},
        "series": [series("x", "x", points([1, 2], [3, 4]))],
    }


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_no_empty_frame_is_left_beside_the_charts(count: int) -> None:
    charts = [chart(number) for number in range(count)]
    for rows in (None, 3):
        figure = panels(charts, "title", rows)
        framed = [ax.get_title() for ax in figure.axes if ax.axison]
        assert framed == [each["title"] for each in charts]


def test_a_point_that_no_line_joins_to_another_is_marked_with_its_error() -> None:
    lone = chart(0) | {
        "series": [series("x", "x", points([1, 2, 4, 8], [3, None, 5, None], [1, None, None, 1]))]
    }
    (ax,) = (ax for ax in panels([lone], "title").axes if ax.axison)
    (line,) = ax.lines
    assert (line.get_marker(), list(line.get_markevery())) == ("o", [0, 2])
    (bars,) = (each for each in ax.collections if isinstance(each, LineCollection))
    assert [path.vertices.tolist() for path in bars.get_paths()] == [[[1, 2], [1, 4]]]


def test_points_on_a_line_are_not_marked() -> None:
    (ax,) = (ax for ax in panels([chart(0)], "title").axes if ax.axison)
    assert ax.lines[0].get_marker() == "None"


@pytest.mark.parametrize("place", ["title", "legend"])
def test_a_name_in_letters_that_the_font_lacks_gives_no_warning(place: str) -> None:
    named = chart(0) | {
        "series": [series("東京.npy" if place == "legend" else "x", "x", points([1, 2], [3, 4]))]
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert png(panels([named], "x 3-d (東京.npy)" if place == "title" else "x")).startswith(b"\x89PNG")
