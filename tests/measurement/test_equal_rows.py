"""Rows that are equal, or nearly all: what has no number is left out of tables, charts and the picture."""

import warnings

import pytest
import torch

from helpers.manifolds import gaussian
from intrinsic_clip.measurement import measure_embeddings
from intrinsic_clip.measurement.embedding_measurement import EmbeddingMeasurement
from intrinsic_clip.reports.measurement_charts import charts
from intrinsic_clip.reports.measurement_page import page
from intrinsic_clip.reports.measurement_picture import figure
from intrinsic_clip.reports.measurement_tables import own_tables

SETTINGS = {"run": None, "data": None, "encoder": None, "x": "x.npy", "y": "y.npy", "command": "measure"}


def measured(*sides: torch.Tensor) -> EmbeddingMeasurement:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return measure_embeddings(*sides, estimators=["mle", "gride"])


def but_one(rows: torch.Tensor) -> torch.Tensor:
    rows[7] += torch.arange(rows.shape[1])
    return rows


@pytest.mark.parametrize("rows", [torch.ones(300, 5), torch.ones(300, 1), but_one(torch.ones(300, 5))])
def test_what_has_no_number_is_left_out(rows: torch.Tensor) -> None:
    measurement = {**measured(rows), "config": SETTINGS}
    titles = [table.title for table in own_tables(measurement)]
    assert titles == ["dimension ± standard error"]
    assert not any("Intrinsic" in chart["title"] for chart in charts(measurement))
    assert "fewest coordinates" not in measurement["advice"]["text"]
    assert "inf times" not in " ".join(measurement["notes"])
    if rows.shape[1] > 1:
        assert "forms of stored rows are not compared" in " ".join(measurement["notes"])


def test_a_picture_without_a_chart_says_so() -> None:
    measurement = {**measured(torch.ones(300, 5)), "config": SETTINGS}
    assert charts(measurement) == []
    drawn = figure(measurement)
    assert not any(ax.axison for ax in drawn.axes)
    assert "There is no number to draw." in [text.get_text() for text in drawn.texts]
    assert "<h2>Charts</h2>" not in page({**measurement, "versions": {}})


def test_a_side_without_a_number_is_named_beside_one_that_has_some() -> None:
    measurement = {**measured(gaussian(300, 5), torch.ones(300, 5)), "config": SETTINGS}
    tables = {table.title.partition(" (")[0]: table for table in own_tables(measurement)}
    for kind in ("scale", "sample size"):
        table = tables[f"intrinsic dimension against {kind}"]
        assert table.remarks[1] == "y: no estimate at any of them; the reason is below the first table"
    drawn = {chart["title"].partition(" (")[0]: chart for chart in charts(measurement)}
    for kind in ("scale", "sample size"):
        labels = [series["label"] for series in drawn[f"Intrinsic dimension against {kind}"]["series"]]
        assert "y, no estimate" in labels


def test_constant_columns_change_nothing_of_the_others() -> None:
    varying = gaussian(300, 4)
    rows = torch.cat([varying[:, :2], torch.full((300, 1), 2.0), varying[:, 2:], -torch.ones(300, 1)], 1)
    ours, alone = measured(rows), measured(varying)
    assert ours["metrics"]["id/mle/x"] == pytest.approx(alone["metrics"]["id/mle/x"])
    assert ours["curves"]["scale/x"]["value"] == pytest.approx(alone["curves"]["scale/x"]["value"])
