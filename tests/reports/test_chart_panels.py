"""Charts as panels of a picture."""

import pytest

from intrinsic_clip.reports.chart_panels import panels
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
