"""The panels that the paper's figures share."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from intrinsic_clip.paper_figures.style import band


def bars(ax) -> list[list[list[float]]]:
    found = [each for each in ax.collections if isinstance(each, LineCollection)]
    return [path.vertices.tolist() for each in found for path in each.get_paths()]


@pytest.mark.parametrize(("style", "marker"), [({"ls": ":"}, "o"), ({"marker": "s"}, "s")])
def test_a_curve_of_one_output_dimension_is_a_point_with_its_deviation(style, marker) -> None:
    ax = Figure().subplots()
    band(ax, pd.DataFrame({"at": [19], "mean": [5.0], "std": [0.5], "count": [3]}), **style)
    assert ax.lines[0].get_marker() == marker
    assert bars(ax) == [[[19, 4.5], [19, 5.5]]]


def test_evaluations_within_one_epoch_are_points() -> None:
    ax = Figure().subplots()
    band(ax, pd.DataFrame({"epoch": [0, 0], "mean": [5.0, 5.1], "std": [np.nan, np.nan]}), "epoch")
    assert ax.lines[0].get_marker() == "o"
    assert bars(ax) == []


def test_a_curve_of_several_points_is_a_line() -> None:
    ax = Figure().subplots()
    band(ax, pd.DataFrame({"at": [7, 19], "mean": [5.0, 5.1], "std": [0.5, 0.4], "count": [3, 3]}))
    assert ax.lines[0].get_marker() == "None"
    assert bars(ax) == []
