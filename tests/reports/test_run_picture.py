"""The picture of a run shows its numbers, over training or over output dimensions."""

import json
import subprocess
import sys

import pandas as pd
import pytest
from matplotlib.figure import Figure

from intrinsic_clip.paper_figures.style import logarithmic
from intrinsic_clip.reports.run_picture import draw_run, run_figure
from intrinsic_clip.runs import results

CONFIG = {"name": "demo", "seed": 3, "replicates": None, "encoder": {"output_dim": 6}}
FINAL = {"config": CONFIG, "shared_dim": 5, "n_test": 1000, "metrics": {}}
STEPS = {
    "loss": [2.0, 1.0, 0.5, 0.25],
    "temperature": [1.0, 0.5, 0.1, 0.02],
    "id/mle/x": [6.0, 5.5, 5.2, 5.1],
    "id/twonn/y": [6.5, 6.0, 5.5, 5.0],
    "matching/top_1/x_to_y": [0.1, 0.4, 0.6, 0.7],
    "retrieval/top_10/y_to_x": [0.2, 0.5, 0.7, 0.8],
}


def history(replicates: int = 1) -> pd.DataFrame:
    """Return metrics over 4 steps in 2 epochs; replicate r lies r above the first."""
    return pd.DataFrame(
        [
            {
                "step": step,
                "epoch": step // 2,
                "metric": name,
                "output_dim": None,
                "replicate": r,
                "value": value + r,
            }
            for name, values in STEPS.items()
            for step, value in enumerate(values)
            for r in range(replicates)
        ]
    )


def lines(ax) -> dict[str, tuple[list[float], list[float]]]:
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines}


def test_curves_over_training_are_those_of_the_metrics_file() -> None:
    figure = run_figure(history(), FINAL)
    loss, temperature, dimension, matching = figure.axes
    assert figure.get_suptitle() == "demo, d = 6, seed 3"
    at = [0, 1, 2, 3]
    assert lines(loss) == {"each step": (at, STEPS["loss"]), "mean of an epoch": ([1, 3], [1.5, 0.375])}
    assert list(lines(temperature).values()) == [(at, STEPS["temperature"])]
    assert temperature.get_yscale() == "log"
    curves = lines(dimension)
    assert curves.pop("true k* = 5")[1] == [5, 5]
    assert curves == {"f(X), MLE": (at, STEPS["id/mle/x"]), "g(Y), TwoNN": (at, STEPS["id/twonn/y"])}
    assert lines(matching) == {
        "x → y, top 1": (at, STEPS["matching/top_1/x_to_y"]),
        "y → x, recall@10": (at, STEPS["retrieval/top_10/y_to_x"]),
    }
    assert [ax.get_title() for ax in figure.axes] == [
        "Loss on training batches", "Temperature τ", "Intrinsic dimension on held-out rows",
        "Matching accuracy among 1,000 held-out rows",
    ]  # fmt: skip
    assert [ax.get_ylabel() for ax in figure.axes] == [
        "nats",
        "τ (log scale)",
        "dimensions",
        "share of pairs",
    ]
    assert [ax.get_xlabel() for ax in figure.axes[2:]] == ["training step"] * 2


def test_replicates_are_a_mean_and_a_band() -> None:
    figure = run_figure(history(3), FINAL | {"config": CONFIG | {"replicates": 3}})
    dimension = figure.axes[2]
    assert figure.get_suptitle() == "demo, d = 6, seed 3, 3 replicates (mean ± sd)"
    assert lines(dimension)["f(X), MLE"][1] == pytest.approx([value + 1 for value in STEPS["id/mle/x"]])
    heights = [y for x, y in dimension.collections[0].get_paths()[0].vertices.tolist() if x == 0]
    assert (min(heights), max(heights)) == pytest.approx((6, 8))


def test_the_title_says_where_means_are_of_fewer_replicates() -> None:
    """Check curves over training and over d; numbers that no panel shows do not count."""
    fewer = "demo, d = 6, seed 3, 3 replicates (mean ± sd, of fewer where some have no number)"
    config = CONFIG | {"replicates": 3}
    for name, title in (("id/mle/x", fewer), ("loss", fewer), ("norm/x", fewer.replace(", of fewer", "|"))):
        table = history(3)
        other = table[table["metric"] == "loss"].assign(metric="norm/x")
        table = pd.concat([table, other])
        table.loc[(table["metric"] == name) & (table["replicate"] == 1), "value"] = None
        expected = title.partition("|")[0] + ")" if "|" in title else title
        assert run_figure(table, FINAL | {"config": config}).get_suptitle() == expected
    metrics = {"id/mle/x": {"mean": [2.0, 5.0], "std": [0.1, None], "values": [[2.1, 1.9], [5.0, None]]}}
    over_dims = CONFIG | {"replicates": 2, "encoder": {"output_dim": [2, 6]}}
    figure = run_figure(history(), FINAL | {"config": over_dims, "metrics": metrics})
    assert figure.get_suptitle().endswith("2 replicates (mean ± sd, of fewer where some have no number)")


def test_several_output_dimensions_are_the_horizontal_axis() -> None:
    metrics = {"id/mle/x": {"mean": [2.0, 5.0], "std": [None, None], "values": [[2.0], [5.0]]}}
    config = CONFIG | {"replicates": 1, "encoder": {"output_dim": [2, 6]}}
    figure = run_figure(history(), FINAL | {"config": config, "metrics": metrics})
    assert lines(figure.axes[2])["f(X), MLE"] == ([2, 6], [2, 5])
    assert [ax.get_xlabel() for ax in figure.axes[2:]] == ["output dimension d"] * 2
    assert figure.get_suptitle() == "demo, seed 3"


def test_a_single_output_dimension_and_a_single_evaluation_are_points_with_their_spread() -> None:
    metrics = {
        name: {"mean": [values[-1]], "std": [0.01], "values": [[values[-1]] * 2]}
        for name, values in STEPS.items()
    }
    config = CONFIG | {"replicates": 2, "encoder": {"output_dim": [6]}}
    over_dims = run_figure(history(), FINAL | {"config": config, "metrics": metrics})
    table = history(2)
    over_training = run_figure(table[table["step"] == 3], FINAL | {"config": CONFIG | {"replicates": 2}})
    for figure in (over_dims, over_training):
        for ax in figure.axes[1:]:
            curves = [line for line in ax.lines if not line.get_label().startswith("true")]
            assert curves
            assert all(line.get_marker() == "o" for line in curves)
            bars = [path.vertices for each in ax.collections for path in each.get_paths()]
            assert any(len(bar) == 2 and bar[0, 1] < bar[1, 1] for bar in bars)
    assert over_dims.axes[0].lines[0].get_marker() == "o"


def test_steps_and_dimensions_have_whole_numbers_at_the_axis() -> None:
    table = history()
    for count in (1, 2):
        figure = run_figure(table[table["step"] < count], FINAL)
        assert all(float(tick).is_integer() for tick in figure.axes[2].get_xticks())


@pytest.mark.slow
def test_a_picture_is_written_without_pyplot_and_without_a_choice_of_backend(tmp_path) -> None:
    history().to_csv(tmp_path / results.METRICS, index=False)
    code = (
        "import sys, json, matplotlib; before = matplotlib.rcParams.copy()\n"
        "from pathlib import Path\n"
        "from intrinsic_clip.reports.run_picture import draw_run\n"
        "from intrinsic_clip.runs import results\n"
        f"draw_run(results.read_metrics(Path({str(tmp_path)!r})), json.loads(sys.argv[1]), Path('run.png'))\n"
        "assert matplotlib.rcParams.copy() == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, json.dumps(FINAL)], check=True, cwd=tmp_path)
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_the_mean_of_a_single_epoch_is_a_point() -> None:
    table = history()
    several, one = (run_figure(t, FINAL).axes[0].lines[1] for t in (table, table[table["epoch"] == 0]))
    assert one.get_label() == several.get_label() == "mean of an epoch"
    assert (one.get_marker(), several.get_marker()) == ("o", "None")
    assert list(one.get_xdata()) == [1]


@pytest.mark.slow
def test_a_folder_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(OSError, match=r"nowhere/run\.png"):
        draw_run(history(), FINAL, tmp_path / "nowhere" / "run.png")


@pytest.mark.parametrize(
    ("low", "high"),
    [(1.00166, 1.00171), (1.001659, 1.001688), (0.5, 0.5000003), (1e-3, 2.0), (4, 45), (1.2, 90), (3, 25)],
)
def test_ticks_of_a_logarithmic_axis_differ(low, high) -> None:
    figure = Figure(figsize=(6, 4))
    ax = figure.subplots()
    ax.plot([1, 2], [low, high])
    logarithmic(ax.yaxis)
    figure.draw_without_rendering()
    ticks = [*ax.yaxis.get_major_ticks(), *ax.yaxis.get_minor_ticks()]
    shown = [
        each.label1.get_text() for each in ticks if ax.get_ylim()[0] <= each.get_loc() <= ax.get_ylim()[1]
    ]
    shown = [text for text in shown if text]
    assert len(shown) == len(set(shown)) > 1
