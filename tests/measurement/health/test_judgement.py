"""Outcomes of rules: a number that does not exist keeps none, and says why."""

import json
import math
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from intrinsic_clip.dimension.row_source import TensorRows
from intrinsic_clip.measurement.health.judgement import judged
from intrinsic_clip.measurement.health.row_facts import row_facts
from intrinsic_clip.measurement.health.rules import Rule
from intrinsic_clip.measurement.inputs import Inputs
from intrinsic_clip.reports.check_report import check_lines, check_summary, junit_xml


def measurement(**others):
    numbers = {
        "n": 50,
        "dims": {"x": 8, "y": 8},
        "metrics": {
            "id/mle/x": 5.0,
            "id_standard_error/mle/x": 0.2,
            "modality_gap": math.nan,
            "id/twonn/x": None,
        },
        "estimates": [{"name": "id/twonn", "side": "x", "reason": "all rows are equal"}],
        "rows": {"nonfinite_rows": {"x": 0, "y": 3}, "norm": {"x": 1.0, "y": 2.0}},
    }
    return numbers | others


def outcomes(name: str, low: float = -math.inf, high: float = math.inf, **others):
    return judged([Rule(name, low, high, "limits")], measurement(**others))


def test_numbers_are_compared_with_their_limits() -> None:
    (kept,) = outcomes("id/mle/x", 5)
    assert (kept["ok"], kept["value"], kept["standard_error"], kept["reason"]) == (True, 5.0, 0.2, None)
    assert [each["ok"] for each in outcomes("norm", 0, 1.5)] == [True, False]
    assert [each["ok"] for each in outcomes("nonfinite_rows", high=0)] == [True, False]
    assert outcomes("rows", 50)[0]["ok"]
    assert outcomes("dims", 8, 8)[0]["ok"]


@pytest.mark.parametrize(
    ("name", "others", "reason"),
    [
        ("modality_gap", {}, "the measurement has no such number"),
        ("id/twonn/x", {}, "all rows are equal"),
        ("id/gride/x", {}, "estimators=… does not list it"),
        ("recall", {"dims": {"x": 8, "y": 9}}, "x has 8 columns and y 9, so there are no cosines"),
        ("recall", {"dims": {"x": 8}, "rows": {}}, "there is no y"),
        ("against/linear_cka", {}, "there is no second model (against=…)"),
        ("against/recall", {}, "there is no second model (against=…)"),
    ],
)
def test_what_was_not_measured_fails_whatever_the_limits(name, others, reason) -> None:
    for outcome in outcomes(name, **others):
        assert (outcome["ok"], outcome["value"], outcome["reason"]) == (False, None, reason)


def of_file(rows: torch.Tensor) -> Inputs:
    """Return inputs whose x is read block by block."""
    inputs = Inputs(OmegaConf.create(), {})
    vars(inputs)["files"] = SimpleNamespace(sources={"x": TensorRows(rows)})
    return inputs


def test_rows_are_counted_as_by_hand(tmp_path) -> None:
    rows = np.random.default_rng(0).normal(size=(5000, 700)).astype(np.float16)  # several blocks
    rows[17], rows[4000], rows[33, 5], rows[34] = rows[3], rows[3], np.nan, np.inf
    rows[40], rows[41], rows[42] = 0, -0.0, 0
    inputs = of_file(torch.from_numpy(rows))
    facts = {name: by_side["x"] for name, by_side in row_facts(inputs).items()}
    finite = rows[np.isfinite(rows).all(1)].astype(float)
    norms = np.sqrt((finite**2).sum(1))
    distinct = {tuple(row) for row in (finite + 0.0).tolist()}
    assert facts["nonfinite_rows"] == 2
    assert facts["zero_rows"] == 3
    assert facts["duplicate_rows"] == len(finite) - len(distinct) == 4
    assert facts["duplicates"] == 4 / len(finite)
    assert facts["norm"] == pytest.approx(norms.mean(), rel=1e-12)
    assert facts["norm_spread"] == pytest.approx(norms.std() / norms.mean(), rel=1e-9)


def test_rows_of_which_none_is_left_have_no_norm() -> None:
    inputs = of_file(torch.full((3, 2), math.nan))
    facts = {name: by_side["x"] for name, by_side in row_facts(inputs).items()}
    assert facts.pop("nonfinite_rows") == 3
    assert facts == {
        "zero_rows": 0,
        "duplicate_rows": 0,
        "duplicates": None,
        "norm": None,
        "norm_spread": None,
    }


def test_reports_name_what_failed() -> None:
    judgements = outcomes("id/mle/x", 5) + outcomes("norm", 0, 1.5) + outcomes("id/twonn/x", 1)
    assert check_summary(judgements) == "2 of 4 failed"
    lines = check_lines(judgements)
    assert [line.split()[:2] for line in lines] == [
        ["ok", "id/mle/x"],
        ["ok", "norm/x"],
        ["FAILED", "norm/y"],
        ["FAILED", "id/twonn/x"],
    ]
    assert "5.00 ± 0.20" in lines[0]
    assert lines[3].endswith("not measured  limits  (all rows are equal)")
    suite = ElementTree.fromstring(junit_xml(judgements, "rules <&\x07>.yaml", 1.5)).find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("4", "2")
    failures = {case.get("name"): case.find("failure") for case in suite}
    assert [name for name, failure in failures.items() if failure is not None] == ["norm/y", "id/twonn/x"]
    assert failures["norm/y"].get("message") == "norm/y is 2, must be limits"
    assert "all rows are equal" in failures["id/twonn/x"].get("message")
    json.dumps(judgements, allow_nan=False)
