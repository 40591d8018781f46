"""The one-standard-error rule of the advice, on curves by hand, and the tables of forms."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from intrinsic_clip.measurement.advice import advise, largest_loss, stored
from intrinsic_clip.measurement.forms import cheapest, measure_forms
from intrinsic_clip.measurement.record import Record
from intrinsic_clip.metrics.pairing import Pairing
from intrinsic_clip.reports.form_tables import NUMBERS, form_name, form_tables
from intrinsic_clip.reports.number_format import aligned


def compared(value: float, difference: float, error: float) -> dict[str, float]:
    return {"value": value, "standard_error": 0.01, "difference": difference, "difference_error": error}


def form(name: str, dims: int, size: int, value: float, error: float) -> dict[str, Any]:
    return {"form": name, "dims": dims, "bytes": size, "recall_1": compared(value, value - 0.8, error)}


FORMS: dict[str, Any] = {
    "side": "pairs",
    "n": 500,
    "fitted": 500,
    "full": form("full", 16, 64, 0.8, 0.0),
    "rows": [
        form("principal", 16, 64, 0.8, 0.0),
        form("principal", 4, 16, 0.79, 0.02),
        form("prefix", 8, 32, 0.795, 0.01),
        form("prefix", 4, 16, 0.5, 0.02),
        form("int8", 16, 16, 0.798, 0.001),
        form("binary", 16, 2, 0.6, 0.02),
        form("product", 16, 4, 0.785, 0.02),
    ],
    "decided_by": "recall_1",
}
CURVE: dict[str, Any] = {
    "at": [1, 2, 4, 8, 16],
    "value": [0.1, 0.5, 0.785, 0.795, 0.8],
    "standard_error": [0.02] * 5,
    "difference": [-0.7, -0.3, -0.015, -0.005, 0.0],
    "difference_standard_error": [0.02, 0.02, 0.01, 0.005, 0.0],
    "full": 0.8,
    "full_standard_error": 0.02,
    "chance": 0.002,
    "n": 500,
    "sufficient": 8,
}


def advice(**changes: Any) -> dict[str, Any]:
    forms = FORMS | {"cheapest": cheapest(FORMS["rows"], 64, "recall_1")}
    return advise(
        {"curves": {"retrieval/principal": CURVE | changes}, "forms": forms, "estimates": [], "believed": {}}
    )


def test_the_advice_names_its_rule_and_what_pairs_do_not_tell() -> None:
    answer = advice()
    assert (answer["dims"], answer["rule"]) == (8, "within one standard error")
    text = answer["text"]
    assert text.startswith(
        "8 of 16 dimensions keep retrieval within one standard error (recall@1 0.795 of 0.80"
    )
    assert "paired difference -0.0050 ± 0.0050, 500 held-out pairs, principal directions)" in text
    assert "4 to 16 dimensions are not told apart by so few pairs" in text  # −0.015 is 1.5 standard errors
    assert "a loss of up to 0.014 at 8 would not show (95 % confidence)" in text  # 0.005 + 1.645 · 0.0057
    assert "a plain prefix (truncate_dim) needs 8" in text
    assert "is product quantisation in 4 parts, 4 bytes per row of 64 (difference -0.015 ± 0.020" in text


@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize(("lost", "won"), [(1.5, 0.5), (3, 1), (6, 3), (20, 20)])
@pytest.mark.parametrize("weight", [0.5, 1.0])  # of a pair that is lost in one direction, or in both
def test_the_largest_loss_is_above_the_true_one_in_95_of_100_draws(n, lost, won, weight) -> None:
    draws = np.random.default_rng(0).multinomial(n, [lost / n, won / n, 1 - (lost + won) / n], size=4000)
    above = 0
    for fewer, more, _ in draws:
        difference = weight * (more - fewer) / n
        square = weight**2 * (more + fewer) - n * difference**2
        above += largest_loss(difference, math.sqrt(square / (n * (n - 1))), n) >= weight * (lost - won) / n
    assert above / len(draws) > 0.94


def test_fewer_dimensions_that_retrieve_more_than_all_are_said_to() -> None:
    text = advice(value=[0.1, 0.5, 0.9, 0.8, 0.8], difference=[-0.7, -0.3, 0.1, 0.0, 0.0], sufficient=4)[
        "text"
    ]
    assert "; 4 retrieve more than all 16 do" in text
    assert "not told apart" not in text  # as 8 to 16 are, of which 4 is none


def test_a_loss_is_possible_where_no_pair_differs() -> None:
    text = advice(
        difference=[-0.7, -0.3, -0.1, 0.0, 0.0], difference_standard_error=[0.02, 0.02, 0.01, 0.0, 0.0]
    )
    assert "a loss of up to 0.0046 at 8 would not show (95 % confidence)" in text["text"]


def test_where_nothing_is_enough_or_all_is_needed() -> None:
    assert "only all 16 dimensions keep retrieval" in advice(sufficient=16)["text"]
    none = advice(sufficient=None)
    assert none["dims"] is None
    assert "no number of principal directions keeps recall@1" in none["text"]


def test_measurements_of_earlier_versions_have_advice() -> None:
    old = {k: v for k, v in CURVE.items() if not k.startswith("difference")}
    text = advise({"curves": {"retrieval/principal": old}, "estimates": []})["text"]
    assert "8 of 16 dimensions keep retrieval" in text


def test_the_cheapest_form_is_within_one_standard_error() -> None:
    assert cheapest(FORMS["rows"], 64, "recall_1")["form"] == "product"
    assert cheapest(FORMS["rows"][5:6], 64, "recall_1") is None
    assert cheapest(FORMS["rows"][:1], 64, "recall_1") is None  # as many bytes as the full rows


def test_forms_are_tabled_by_their_bytes() -> None:
    (table,) = form_tables(FORMS)
    lines = aligned(table)
    assert lines[0].split() == ["bytes", "floats", "principal", "prefix", "int8,", "1", "bit", "product"]
    assert [line.split()[0] for line in lines[1:-1]] == ["64", "32", "16", "4", "2"]
    assert "0.790 ± 0.010*" in lines[3]
    assert "0.500 ± 0.010" in lines[3]
    assert "0.500 ± 0.010*" not in lines[3]
    assert form_tables({}) == []


def test_pairs_of_unequal_widths_have_canonical_forms_and_those_of_x_beside() -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(400, 4, generator=generator)
    x = z @ torch.randn(4, 16, generator=generator)
    record = Record(400, {"x": 16, "y": 24})
    measure_forms(record, x, z @ torch.randn(4, 24, generator=generator), [4], 0)
    measure_forms(record, x, None, [], 0)
    forms = record.forms
    assert (forms["along"], forms["full"]["dims"], forms["alone"]["side"]) == ("canonical", 16, "x")
    assert forms["full"]["recall_1"]["value"] == 1  # all four dimensions are shared, without noise
    assert forms["cheapest"]["form"] == "canonical_int8"
    assert forms["cheapest"]["dims"] <= 4
    titles = [table.title for table in form_tables(forms)]
    assert titles == [
        "recall@1 along canonical directions at equal bytes per stored row, 200 held-out pairs; chance 0.005",
        "recall@10 along canonical directions at equal bytes per stored row, 200 held-out pairs; chance 0.05",
        "share of the ten nearest neighbours kept at equal bytes per stored row, 200 held-out rows of x",
    ]
    (said,) = stored(forms, 4)
    assert said.startswith("the cheapest form within one standard error is")
    assert "canonical dimensions in int8" in said


def unrelated(seed: int, width: int = 8) -> torch.Tensor:
    return torch.randn(240, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("of", ["classes", "one large class", "pairs", "unequal pairs", "prompts"])
def test_forms_of_rows_that_only_guess_are_not_marked(of) -> None:
    """Where the full rows do no better than guessing any form is within their error, which says nothing."""
    x, labels, y, pairing, number = unrelated(0), None, None, None, "recall_1"
    if of == "classes":
        labels, number = torch.arange(240) % 40, "class_accuracy"
    elif of == "one large class":
        labels, number = (torch.arange(240) % 10 == 0).long(), "class_accuracy"
    elif of == "prompts":
        labels = torch.arange(240) % 6
        y, number = unrelated(1)[:6][labels], "class_accuracy"
        pairing = Pairing.of_rows(x, y, classes=True)
    else:
        y = unrelated(1, 8 if of == "pairs" else 10)
    record = Record(240, {})
    measure_forms(record, x, y, [4], 0, pairing, labels)
    assert record.forms["cheapest"] is None
    table = next(t for t in form_tables(record.forms) if NUMBERS[number] in t.title)
    assert f"; chance {record.forms['chance'][number]:.2g}" in table.title
    assert not any("*" in cell for row in table.rows for cell in row)
    assert "is no better than guessing" in table.remarks[0]


def test_forms_of_rows_that_know_their_classes_are_marked_beside_the_largest_class() -> None:
    labels = torch.arange(240) % 4 // 2  # one half each
    x = unrelated(0) + 6 * torch.eye(8)[labels]
    record = Record(240, {})
    measure_forms(record, x, None, [4], 0, labels=labels)
    (table,) = (table for table in form_tables(record.forms) if "class accuracy" in table.title)
    held = torch.randperm(240, generator=torch.Generator().manual_seed(0))[120:]
    share = float(labels[held].bincount().max() / 120)
    assert table.title.endswith(f"120 held-out rows of x; chance {share:.2g}, the share of the largest class")
    assert any("*" in cell for row in table.rows for cell in row)
    assert "* within one standard error of" in table.remarks[0]


@pytest.mark.parametrize("row", FORMS["rows"])
def test_every_form_has_a_name(row) -> None:
    assert str(row["dims"]) in form_name(row) or row["form"] == "product"
