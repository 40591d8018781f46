"""Files that are read block by block, some of whose rows ask for their neighbours and partners among all."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from helpers.shared_latent import shared_latent
from intrinsic_clip.data.formats import text_rows
from intrinsic_clip.data.formats.arrays import open_array
from intrinsic_clip.dimension import mle, queries
from intrinsic_clip.dimension.row_source import TensorRows
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement import large, loading, measure_embeddings
from intrinsic_clip.measurement.large import Settings
from intrinsic_clip.measurement.measurements import measure_sources
from intrinsic_clip.measurement.pairs import measure_retrieval
from intrinsic_clip.measurement.record import Record
from intrinsic_clip.reports.measurement_tables import tables

pytestmark = pytest.mark.slow
QUICK = ("mle", "twonn", "tle", "correlation_integral")


def settings(**changes) -> Settings:
    """Return settings of a short measurement."""
    return Settings(**{"estimators": QUICK, "k": 10, "max_points": 400, "queries": 300, "seed": 0, **changes})


def numbers(measurement: dict) -> dict:
    """Return a measurement without what time decides."""
    return {key: value for key, value in measurement.items() if key != "seconds"}


@pytest.fixture(scope="module")
def half() -> tuple[np.ndarray, np.ndarray]:
    """Draw 1,200 pairs in half precision."""
    x, y = shared_latent(1200, 0.1, 0.1)
    return x.astype(np.float16), y.astype(np.float16)


@pytest.fixture(scope="module")
def measured(half) -> dict:
    """Measure them, 300 rows of each being asked."""
    sources = {side: TensorRows(torch.from_numpy(rows)) for side, rows in zip("xy", half, strict=True)}
    return measure_sources(sources, settings())


def test_numbers_are_near_those_of_asking_every_row(half, measured) -> None:
    full = measure_embeddings(*half, estimators=QUICK, k=10, max_points=400, queries="all")
    rows = {(row["name"], row["side"]): row for row in measured["estimates"]}
    for row in full["estimates"]:
        asked = rows[row["name"], row["side"]]
        if row["name"] == "id/tle":  # which searches within the sample otherwise
            assert asked["asked"] == 300
        elif "asked" in asked:
            assert abs(asked["value"] - row["value"]) < 3 * asked["query_error"]
        else:
            assert asked["value"] == pytest.approx(row["value"], rel=1e-6)
            assert asked["standard_error"] == pytest.approx(row["standard_error"], rel=0.2)
    for name in ("modality_gap", "alignment/cosine"):
        assert measured["metrics"][name] == pytest.approx(full["metrics"][name], rel=1e-6)
    assert measured["retrieval"] == {**measured["retrieval"], "x": 1200, "y": 1200, "asked": 300}
    assert measured["metrics"]["retrieval/candidates"] == 1200
    assert "x: 1,200 rows, 300 of them asked, drawn at random; neighbours among all" in measured["notes"]


def test_the_tables_say_how_many_were_asked_and_what_that_costs(measured) -> None:
    estimates, retrieval = (
        table for table in tables(measured) if "±" in table.title or "among" in table.title
    )
    assert estimates.header == ("", "x", "y", "n", "k", "asked", "± x of asking", "± y of asking")
    by_name = {row[0]: row for row in estimates.rows}
    assert by_name["MLE"][3:6] == ("1,200", "10", "300")
    assert by_name["MLE"][6].endswith(" %")
    assert by_name["correlation integral"][3:] == ("400", "20", "", "", "")
    assert "among 1,200 pairs, by 300 of each drawn at random" in retrieval.title


def test_parquet_and_float32_files_give_the_same_numbers(tmp_path, half, measured) -> None:
    for side, rows in zip("xy", half, strict=True):
        flat = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
        pq.write_table(pa.table({"e": flat}), tmp_path / f"{side}.parquet", row_group_size=500)
        np.save(tmp_path / f"{side}.npy", rows.astype(np.float32))
    for suffix in ("parquet", "npy"):
        sources = {side: open_array(tmp_path / f"{side}.{suffix}")[0] for side in "xy"}
        again = measure_sources(sources, settings())
        for name, value in measured["metrics"].items():
            summed = name.startswith("spectrum")  # covariances of float16 are added up in float32
            assert again["metrics"][name] == pytest.approx(value, rel=1e-6 if summed else 1e-9), name
        assert again["notes"] == measured["notes"] or suffix == "npy"


def test_a_text_table_is_read_block_by_block(half, monkeypatch) -> None:
    """A large .csv, the names of whose rows are no dimension, measures as its numbers do."""
    monkeypatch.setattr(text_rows, "FEWEST", 1000)
    for side, rows in zip("xy", half, strict=True):
        table = pd.DataFrame(rows.astype(float), index=[f"item {i}" for i in range(1200)])
        table.to_csv(f"{side}.csv", float_format="%.17g")
    opened = {side: open_array(Path(f"{side}.csv")) for side in "xy"}
    found = measure_sources({side: each[0] for side, each in opened.items()}, settings(estimators=("mle",)))
    arrays = {
        side: TensorRows(torch.from_numpy(rows.astype(float))) for side, rows in zip("xy", half, strict=True)
    }
    assert found["metrics"] == measure_sources(arrays, settings(estimators=("mle",)))["metrics"]


def test_the_number_of_workers_changes_nothing(half, measured) -> None:
    sources = {side: TensorRows(torch.from_numpy(rows)) for side, rows in zip("xy", half, strict=True)}
    before = torch.get_num_threads()
    torch.set_num_threads(3 - min(2, before))
    try:
        again = measure_sources(sources, settings(estimators=("mle", "twonn")))
    finally:
        torch.set_num_threads(before)
    for row, other in zip(again["estimates"][:2], measured["estimates"][:2], strict=True):
        assert row["value"] == pytest.approx(other["value"], rel=1e-14)
    for name in ("retrieval/top_1/x_to_y", "modality_gap", "spectrum/participation_ratio/x"):
        assert again["metrics"][name] == pytest.approx(measured["metrics"][name], rel=1e-12)


def test_rows_that_are_not_finite_are_refused_or_dropped_with_their_partners(half) -> None:
    x, y = (torch.from_numpy(rows.copy()) for rows in half)
    x[5, 1] = torch.nan
    y[9] = torch.inf
    sources = {"x": TensorRows(x), "y": TensorRows(y)}
    with pytest.raises(
        ConfigError, match="1 of 1,200 rows of x, 1 of 1,200 rows of y hold NaN or infinity; nan=drop"
    ):
        measure_sources(sources, settings(estimators=("mle",)))
    dropped = measure_sources(sources, settings(estimators=("mle",), nan="drop"))
    assert dropped["n"] == 1198
    kept = torch.tensor([i for i in range(1200) if i not in (5, 9)])
    clean = {"x": TensorRows(x[kept]), "y": TensorRows(y[kept])}
    full = measure_sources(clean, settings(estimators=("mle",)))
    assert dropped["metrics"]["spectrum/effective_rank/x"] == pytest.approx(
        full["metrics"]["spectrum/effective_rank/x"], rel=1e-6
    )
    assert dropped["metrics"]["retrieval/candidates"] == 1198


def test_repeated_rows_are_one_thing_and_any_partner_is_right(half) -> None:
    images, captions = (torch.from_numpy(rows) for rows in half)
    five = torch.arange(1200) // 5
    sources = {"x": TensorRows(images[five]), "y": TensorRows(captions)}
    found = measure_sources(sources, settings(estimators=("mle",)))
    assert (found["retrieval"]["x"], found["retrieval"]["y"]) == (240, 1200)
    assert any("960 of 1,200 rows of x repeat others" in note for note in found["notes"])
    assert any("960 of 1200 points are exact duplicates" in note for note in found["notes"])
    every = measure_sources(sources, settings(estimators=("mle",), queries=1200))["metrics"]
    record = Record(1200, {})
    measure_retrieval(record, images[five], captions)
    for name in ("retrieval", "retrieval_standard_error"):
        for way in ("x_to_y", "y_to_x"):
            at = f"{name}/top_1/{way}"
            assert every[at] == pytest.approx(record.metrics[at])
    two = {"x": TensorRows(images), "y": TensorRows(captions[torch.arange(1200) % 2])}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large, "ANSWERS", 5)
        classes = measure_sources(two, settings(estimators=("mle",)))
    assert any("rows have over 5 right answers each" in note for note in classes["notes"])
    assert classes["metrics"]["retrieval/candidates"] == 400


def test_few_distinct_rows_are_measured_as_far_as_they_allow(half) -> None:
    """Of 1,200 rows that show 40 things, as the prompts of classes do, every estimator has what it needs."""
    x = torch.from_numpy(half[0])[torch.arange(1200) % 40]
    names = ("mle", "correlation_integral", "spanning_tree", "corrected_participation_ratio", "KNN")
    found = measure_sources({"x": TensorRows(x)}, settings(estimators=names, k=20))
    full = measure_embeddings(x, estimators=names, k=20, max_points=400, queries="all")
    for name in names:
        assert found["metrics"][f"id/{name}/x"] == pytest.approx(full["metrics"][f"id/{name}/x"])
    few = next(note for note in found["notes"] if "too few for" in note)
    assert few.startswith("x: 40 rows are too few for MLE")
    assert "correlation integral" in few
    assert not any("needs at least" in note for note in found["notes"])
    assert sum("exact duplicates" in note for note in found["notes"]) == 1


def test_as_many_are_asked_as_are_needed(half, monkeypatch) -> None:
    monkeypatch.setattr(large, "PILOT", 100)
    monkeypatch.setattr(queries, "PRECISION", 0.02)
    sources = {"x": TensorRows(torch.from_numpy(half[0]))}
    found = measure_sources(sources, settings(estimators=("mle",), queries="auto"))
    (row,) = (row for row in found["estimates"] if row["name"] == "id/mle")
    assert 100 < row["asked"] < 400
    assert row["query_error"] / row["value"] < 0.022  # the spread among 100 is itself a sample
    monkeypatch.setattr(large, "MOST", 110)
    capped = measure_sources(sources, settings(estimators=("mle",), queries="auto"))
    assert any(note.startswith("queries: ") and "110 are asked" in note for note in capped["notes"])


def test_signs_of_trouble_are_noted(half) -> None:
    x = torch.from_numpy(half[0]).float()
    indexed = torch.cat([x, torch.arange(1200.0)[:, None]], 1)
    found = measure_sources({"x": TensorRows(indexed)}, settings(estimators=("mle",)))
    assert any("counts the rows" in note for note in found["notes"])
    far = x.clone()
    far[700] *= 1e4
    far[3] = 0
    found = measure_sources({"x": TensorRows(far), "y": TensorRows(far)}, settings(estimators=("mle",)))
    assert any("row 700, up to" in note for note in found["notes"])
    assert any("rows of zeros (1 of x, 1 of y)" in note for note in found["notes"])
    found = measure_sources({"x": TensorRows(x), "y": TensorRows(2 * x)}, settings(estimators=("mle",)))
    assert any("was one file given twice?" in note for note in found["notes"])


def test_only_large_files_are_left_on_the_disk(tmp_path, half) -> None:
    np.save(tmp_path / "x.npy", half[0])
    given = {
        "x": str(tmp_path / "x.npy"),
        "y": None,
        "x_key": None,
        "y_key": None,
        "columns": None,
        "drop": None,
    }
    given |= {"queries": "auto", "subsample": None}
    assert loading.open_files(given) is None
    assert loading.open_files({**given, "queries": 300}).sources["x"].shape == half[0].shape
    assert loading.open_files({**given, "queries": "all"}) is None
    assert loading.open_files({**given, "queries": 300, "subsample": 500}) is None
    np.save(tmp_path / "y.npy", half[1][:-1])
    with pytest.raises(ConfigError, match="x has 1,200 rows, y has 1,199 rows"):
        loading.open_files({**given, "queries": 300, "y": str(tmp_path / "y.npy")})


def test_estimators_that_take_queries_agree_with_the_function(half, measured) -> None:
    rows = torch.from_numpy(half[0])
    alone = mle(rows, k=10, queries=300, seed=0)
    assert measured["metrics"]["id/mle/x"] == pytest.approx(float(alone.value), rel=1e-12)
