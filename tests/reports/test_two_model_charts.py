"""Two models on one data set: their charts on the page and in the picture."""

import re
from html import unescape

import pytest
import torch

from helpers.manifolds import gaussian
from helpers.two_models import measured_against
from intrinsic_clip.reports.against_tables import STILL, against_tables
from intrinsic_clip.reports.chart_panels import panels
from intrinsic_clip.reports.measurement_charts import charts
from intrinsic_clip.reports.measurement_page import page
from intrinsic_clip.reports.measurement_picture import draw_two_models
from intrinsic_clip.reports.two_model_charts import two_model_charts

N, WIDTH = 120, 6


def first_model() -> dict[str, torch.Tensor]:
    z = gaussian(N, WIDTH)
    return {side: z + 0.4 * gaussian(N, WIDTH, seed=seed) for seed, side in enumerate("xy", 1)}


@pytest.fixture(scope="module")
def measurement() -> dict:
    first = first_model()
    return measured_against(first, {"x": first["x"] + 0.5 * gaussian(N, WIDTH, seed=3), "y": first["y"]})


def test_each_chart_has_the_numbers_of_both_models(measurement) -> None:
    drawn = {chart["id"]: chart for chart in two_model_charts(measurement)}
    assert list(drawn) == [
        "both-spectrum", "both-variance", "both-scale", "both-kept", "both-neighbours", "both-moved",
    ]  # fmt: skip
    models = (measurement, measurement["against"])
    for series, model, name in zip(drawn["both-spectrum"]["series"], models, ("x", "against"), strict=True):
        assert series["label"] == {"x": "x: old.npy", "against": "against: new.npy"}[name]
        shares = model["curves"]["spectrum/x"]["variance_share"]
        assert [point["y"] for point in series["points"]] == pytest.approx([100 * share for share in shares])
    assert drawn["both-variance"]["series"][1]["points"][-1]["y"] == pytest.approx(100)
    assert [series["label"] for series in drawn["both-kept"]["series"]] == [
        "x, principal", "x, canonical", "against, principal", "against, canonical",
    ]  # fmt: skip
    colours = [series["colour"] for series in drawn["both-kept"]["series"]]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    kept, chance = ([point["y"] for point in each["points"]] for each in drawn["both-neighbours"]["series"])
    assert sum(kept) == pytest.approx(100)
    assert sum(share * place / 100 for place, share in enumerate(kept)) / 10 == pytest.approx(
        measurement["against"]["compared"]["metrics"]["overlap/top_10"]
    )
    assert sum(share * place / 100 for place, share in enumerate(chance)) == pytest.approx(100 / (N - 1))
    moved = [(point["x"], point["y"]) for point in drawn["both-moved"]["series"][0]["points"]]
    assert moved == sorted(moved)
    assert moved[-1][0] == pytest.approx(measurement["against"]["compared"]["moved"][0]["distance"])


def test_the_page_has_a_section_with_the_values_of_each_chart(measurement) -> None:
    html = page(measurement)
    verdict = measurement["against"]["compared"]["verdict"]
    assert f'<p class="advice">{verdict}</p>' in unescape(html)
    section = html[html.index("<h2>Two models</h2>") : html.index("<h2>What to do next</h2>")]
    assert "two models, one data set" in section
    assert section.count("<details") == 6
    for chart in two_model_charts(measurement):
        assert f'aria-label="{chart["title"]}: values"' in section
    table = section[section.index('"Neighbours kept, row by row: values"') :]
    rows = re.findall(r"<th scope=row>(\d+)</th><td>([^<]*)</td>", table)[:11]
    counts = measurement["against"]["compared"]["distributions"]["overlap"]["rows"]
    assert rows == [(str(kept), f"{100 * count / N:.4g}") for kept, count in enumerate(counts)]
    regions = re.findall(r'role=region aria-label="([^"]*)"', html)
    assert len(regions) == len(set(regions))


def test_every_difference_of_the_table_has_its_sign() -> None:
    first = first_model()
    better = {"x": first["y"] + 0.1 * gaussian(N, WIDTH, seed=5), "y": first["y"]}
    rows = {row[0]: row[3] for row in against_tables(measured_against(first, better))[0].rows if row[3]}
    assert rows["recall@1 by cosine"].startswith("+0.")
    assert any(row.startswith("recall@10") for row in rows)
    assert all(row == "0" or row[0] in "+-" for row in rows.values()), rows
    assert "+0" not in rows.values()


def test_the_picture_draws_the_same_charts(measurement) -> None:
    charts = two_model_charts(measurement)
    figure = panels(charts, "a\nb")
    for ax, chart in zip(figure.axes, charts, strict=True):
        assert ax.get_title() == chart["title"]
        for line, series in zip(ax.lines, chart["series"], strict=False):
            assert line.get_label() == series["label"]
            assert line.get_ydata().tolist() == [point["y"] for point in series["points"]]
        assert (ax.get_xscale() == "log") == bool(chart["x"].get("log"))
    assert draw_two_models(measurement).startswith(b"\x89PNG")


def test_without_y_there_is_no_recall_and_a_mere_rotation_moves_no_row() -> None:
    x = first_model()["x"]
    turn = torch.linalg.qr(gaussian(WIDTH, WIDTH, seed=5)).Q
    measurement = measured_against({"x": x}, {"x": (x.double() @ turn.double()).float()})
    names = [chart["id"] for chart in two_model_charts(measurement)]
    assert names == ["both-spectrum", "both-variance", "both-scale", "both-neighbours"]
    html = page(measurement)
    assert STILL in html
    assert "rows of x that moved most" not in html


def test_a_collapsed_model_leaves_out_what_it_does_not_have() -> None:
    first = first_model()
    measurement = measured_against(first, {"x": torch.ones(N, WIDTH), "y": first["y"]})
    drawn = {chart["id"]: chart for chart in two_model_charts(measurement)}
    assert list(drawn) == ["both-spectrum", "both-variance", "both-scale", "both-kept"]
    assert [len(series["points"]) for series in drawn["both-variance"]["series"]] == [WIDTH, 0]
    assert "Two models" in page(measurement)
    assert draw_two_models(measurement).startswith(b"\x89PNG")


def test_axes_of_counts_have_whole_numbers(measurement) -> None:
    """Check components, dimensions, rows and neighbours: of four components 1.5 and 2.5 were marked."""
    counted = []
    for chart in [*charts(measurement), *two_model_charts(measurement)]:
        places = [point["x"] for series in chart["series"] for point in series["points"]]
        if all(float(place).is_integer() for place in places):
            counted.append(chart["id"])
            assert chart["x"].get("whole"), chart["id"]
    assert len(counted) > 5
