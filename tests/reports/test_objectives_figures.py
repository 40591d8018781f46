"""The figures of objectives and temperatures from tables of runs: names, worlds, missing ranks and both sides."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from intrinsic_clip.paper_figures import objectives, style, temperature
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

CONF = Path(__file__).parents[2] / "conf/objective"
ALL_METRICS = [metric for metrics in objectives.PANELS.values() for metric in metrics]


@pytest.fixture
def runs() -> FinishedRuns:
    """Return runs of two objectives in two worlds; on independent data they have no rank."""
    rows = [
        {
            "metric": metric,
            "value": np.nan if "rank" in metric and source == "SyntheticIndependent" else 0.5,
            "replicate": replicate,
            "objective._target_": f"intrinsic_clip.loss.{name}",
            "data._target_": f"intrinsic_clip.data.{source}",
            "data.shared_dim": np.nan if source == "SyntheticIndependent" else 5,
            "data.n_train": 100,
            "run": f"{name}{source}",
        }
        for source in ("SyntheticIndependent", "SyntheticLinear")
        for name in ("VICReg", "InfoNCE")
        for metric in ALL_METRICS
        for replicate in (0, 1)
    ]
    return FinishedRuns("laptop", {"objectives": pd.DataFrame(rows)})


def test_objectives_are_named_as_on_the_command_line() -> None:
    files = {path.stem: yaml.safe_load(path.read_text())["_target_"] for path in CONF.glob("*.yaml")}
    classes = {name: target.rpartition(".")[2] for name, target in files.items()}
    assert {classes[name]: name for name in objectives.NAMES.values()} == objectives.NAMES
    assert len(objectives.NAMES) == len(files) - 4  # those of three modalities


def test_worlds_say_what_they_share_and_missing_ranks_have_a_place(runs) -> None:
    assert [(world.label, world.k) for world in objectives.worlds(runs)] == [
        ("linear", 5),
        ("independent", 0),
    ]
    with style.in_style():
        figure = objectives.draw(runs)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["infonce", "vicreg"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:3] == ["linear (k* = 5)", "independent (k* = 0)", "k* = 5"]
    drawn = {float(line.get_xdata()[0]) for line in figure.axes[0].lines if line.get_marker() == "s"}
    assert drawn == {style.NONE_AT}


def test_an_axis_of_ranks_has_whole_numbers_and_a_place_for_none() -> None:
    figure, (ax,) = style.panels(1)
    ax.plot([0, 1], [4.8, 5.2])
    style.ranks(ax.yaxis)
    ticks = ax.get_yticks()
    assert ticks[0] == style.NONE_AT
    assert ax.get_ylim()[1] >= 7
    assert all(float(tick).is_integer() for tick in ticks[1:])
    figure.draw_without_rendering()
    assert ax.get_yticklabels()[0].get_text() == "none"


def test_a_temperature_shows_both_sides_and_each_bias_of_the_sigmoid_loss() -> None:
    rows = []
    metrics = ["temperature", *(metric for metrics in temperature.PANELS.values() for metric in metrics)]
    for bias in (np.nan, -10.0, 0.0):
        kind = "LearnedTemperature" if np.isnan(bias) else "FixedTemperature"
        for metric in metrics:
            rows.append(
                {"metric": metric, "value": 0.1, "run": str(bias), "replicate": 0, "data.n_train": 100}
            )
            rows[-1] |= {temperature.KIND: f"loss.{kind}", temperature.SOURCE: "data.SyntheticLinear"}
            rows[-1] |= {temperature.BIAS: bias, temperature.LEARNS_BIAS: False}
    table = pd.DataFrame(rows)
    is_sigmoid = table[temperature.BIAS].notna()
    tables = {"temperature": table[~is_sigmoid], "temperature_sigmoid": table[is_sigmoid]}
    with style.in_style():
        figure = temperature.draw(FinishedRuns("laptop", tables))
    titles = [ax.get_title(loc="left") for ax in figure.axes[:2]]
    assert titles == ["(a) InfoNCE, linear data", "(b) sigmoid, linear data"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"learned", "bias fixed at −10", "bias fixed at 0", "ring: g(Y), or y → x"} <= set(labels)
