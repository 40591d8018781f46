"""Tables of a measurement, on the screen and on the page."""

import numpy as np
import pytest
import torch

from helpers.shared_latent import shared_latent
from intrinsic_clip.measurement import measure_embeddings
from intrinsic_clip.reports.measurement_tables import Table, aligned, plus_minus, tables


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (12.3456, 0.0561, "12.346 ± 0.056"),
        (844.04, 1.24, "844.0 ± 1.2"),
        (0.00101, 0.00086, "0.00101 ± 0.00086"),
        (1234.5, 250.0, "1234 ± 250"),
        (5.0, 0.0, "5"),
        (5.25, None, "5.25"),
        (None, None, "–"),
    ],
)
def test_values_are_rounded_to_the_second_digit_of_their_error(value, error, expected) -> None:
    assert plus_minus(value, error) == expected


def test_columns_are_aligned_and_remarks_follow() -> None:
    table = Table("title", ("", "x"), [("MLE", "12.5"), ("participation ratio", "3")], ("a remark",))
    assert list(aligned(table)) == [
        "                          x",
        "  MLE                  12.5",
        "  participation ratio     3",
        "  a remark",
    ]


def test_tables_of_pairs_say_that_retrieval_is_by_cosine() -> None:
    x, y = map(torch.from_numpy, shared_latent(600, 0.1, 0.1))
    measurement = measure_embeddings(x, y, estimators=["mle"], max_points=400)
    titles = [table.title for table in tables(measurement)]
    assert titles[-5:] == [
        "retrieval by cosine among 400 pairs; chance 0.0025 at 1",
        "recall@1 by cosine with fewer dimensions, mean of both ways, 300 held-out pairs",
        "recall@10 by cosine with fewer dimensions, mean of both ways, 300 held-out pairs",
        "recall@1 at equal bytes per stored row, 300 held-out pairs; chance 0.0033",
        "recall@10 at equal bytes per stored row, 300 held-out pairs; chance 0.033",
    ]
    kept = tables(measurement)[-4]
    assert kept.header == ("", "principal", "canonical")
    marked = [row[0] for row in kept.rows if row[0].endswith("←")]
    assert marked == [f"{measurement['advice']['dims']} ←"]


def test_a_missing_value_is_a_dash_and_its_reason_a_remark() -> None:
    rows = torch.from_numpy(np.ones((50, 5)))
    estimates = tables(measure_embeddings(rows, rows, estimators=["mle", "twonn"]))[0]
    assert ("MLE", "–", "–", "50", "2") in estimates.rows
    assert "MLE, TwoNN: needs at least 3 distinct points for k = 2, got 1" in estimates.remarks
