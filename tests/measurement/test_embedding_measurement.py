"""Measuring from Python: an object with its numbers, table, picture, page and projection."""

import copy
import doctest
import importlib
import pickle
import sys
from collections.abc import Mapping

import numpy as np
import pytest
import torch

import intrinsic_clip as ic
from helpers.shared_latent import shared_latent
from intrinsic_clip.errors import ConfigError

OPTIONS = {"estimators": ["mle", "twonn"], "max_points": 200}


@pytest.fixture(scope="module")
def measured():
    """Measure 400 pairs that share 8 of 64 dimensions."""
    return ic.measure_embeddings(*shared_latent(400, 0.3, 0.1), **OPTIONS)


def test_its_numbers_are_attributes_and_items(measured) -> None:
    assert isinstance(measured, Mapping)
    for key in measured:
        assert getattr(measured, key) is measured[key]
        assert key in dir(measured)
    assert (measured.n, measured.dims) == (400, {"x": 64, "y": 64})
    with pytest.raises(AttributeError, match="no attribute 'metric'"):
        measured.metric  # noqa: B018
    for other in (copy.deepcopy(measured), pickle.loads(pickle.dumps(measured))):
        assert other.metrics == measured.metrics
    assert repr(measured).startswith("400 pairs: x 64-d, y 64-d\nadvice: ")
    assert "retrieval by cosine among 200 pairs" in str(measured)


def test_its_table_has_every_number_once(measured) -> None:
    frame = measured.to_frame()
    numbers = {name for name in measured.metrics if "_standard_error/" not in name}
    named = frame["name"] + frame["side"].map(lambda side: f"/{side}" if side else "")
    assert sorted(named) == sorted(numbers)
    row = frame[(frame["name"] == "retrieval/top_1") & (frame["side"] == "y_to_x")].iloc[0]
    assert row["value"] == measured.metrics["retrieval/top_1/y_to_x"]
    assert row["standard_error"] == measured.metrics["retrieval_standard_error/top_1/y_to_x"]
    assert row["n"] == 200
    assert frame[frame["name"] == "id/mle"][["k", "n"]].values.tolist() == [[20, 400]] * 2


def test_a_table_needs_pandas(measured, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match="to_frame needs pandas: pip install pandas"):
        measured.to_frame()


def test_picture_and_page(measured, tmp_path) -> None:
    assert len(measured.plot().axes) == 4
    html = measured.html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == html
    for text in (
        "400 pairs: x 64-d, y 64-d",
        "measured.reduce(",
        "<th scope=row>estimators</th><td>mle, twonn</td>",
    ):
        assert text in html
    assert "intrinsic-clip measure x" not in html


def test_its_projection_keeps_what_it_promises(measured, tmp_path) -> None:
    reduce = measured.reduce(d=8)
    x, y = (torch.from_numpy(side)[reduce.held_out] for side in shared_latent(400, 0.3, 0.1))
    cosines = (
        torch.nn.functional.normalize(reduce.x(x), dim=1)
        @ torch.nn.functional.normalize(reduce.y(y), dim=1).T
    )
    own = torch.arange(len(x))
    found = np.mean([(cosines.argmax(axis) == own).float().mean() for axis in (0, 1)])
    assert found == pytest.approx(reduce.provenance.promise.value)
    curve = measured.curves["retrieval/principal"]
    assert found == pytest.approx(curve["value"][curve["at"].index(8)])
    assert measured.reduce().dims == measured.advice["dims"]
    reduce.save(tmp_path / "cut.safetensors")
    assert torch.equal(ic.Reduce.load(tmp_path / "cut.safetensors").x(x), reduce.x(x))
    with pytest.raises(ConfigError, match=r"path=.*\.npz: must end in \.safetensors"):
        reduce.save(tmp_path / "cut.npz")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"d": 65}, "d=65: must be at most 64"),
        ({"d": 0}, "d=0: must be at least 1"),
        ({"d": 2, "basis": "random"}, "basis=random: must be principal or canonical"),
    ],
)
def test_a_projection_that_is_not_possible(measured, options, message) -> None:
    with pytest.raises(ConfigError, match=message):
        measured.reduce(**options)


@pytest.mark.parametrize("paired", [False, True])
def test_rows_that_are_not_finite_do_not_spoil_the_projection(paired: bool) -> None:
    x, y = (side.copy() for side in shared_latent(300, 0.3, 0.1))
    x[3], y[5, 0] = np.nan, np.inf
    sides = (x, y) if paired else (x,)
    reduce = ic.measure_embeddings(*sides, estimators=["mle"]).reduce(d=4)
    left_out = {3, 5} if paired else {3}
    assert not left_out & set(reduce.held_out.tolist())
    assert reduce.x(torch.from_numpy(x[:3])).isfinite().all()
    assert reduce.provenance.fitted_rows + len(reduce.held_out) == 300 - len(left_out)


def test_many_rows_are_asked_in_part_and_reduced_likewise() -> None:
    x = np.random.default_rng(0).normal(size=(600, 8)).astype(np.float16)
    measured = ic.measure_embeddings(x, estimators=["mle"], queries=100, max_points=200)
    assert measured.estimates[0]["asked"] == 100
    assert measured.reduce(d=3).provenance.promise.kind == "variance"
    assert "queries=400" in measured.html()


@pytest.mark.parametrize(
    "name", ["", ".embedding_measurement", ".measurements", ".memory_limit", ".unusable_rows"]
)
def test_examples_print_what_they_say(name: str) -> None:
    report: list[str] = []
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(importlib.import_module(f"intrinsic_clip.measurement{name}")):
        test.globs = {}  # an example imports what it uses, so that it can be pasted
        runner.run(test, out=report.append)
    assert runner.tries > 0
    assert runner.failures == 0, "".join(report)
