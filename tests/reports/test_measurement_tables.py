"""Tables of a measurement, on the screen and on the page."""

import numpy as np
import pytest
import torch

from helpers.shared_latent import shared_latent
from intrinsic_clip.measurement import measure_embeddings
from intrinsic_clip.measurement.pairs import record_retrieval
from intrinsic_clip.measurement.record import Record
from intrinsic_clip.metrics.counterparts import counterparts_of
from intrinsic_clip.metrics.matching import PartnerRanks, Ranks
from intrinsic_clip.metrics.paired_error import clusters
from intrinsic_clip.reports.measurement_tables import (
    Table,
    _retrieval,
    aligned,
    estimated,
    plus_minus,
    tables,
)


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (12.3456, 0.0561, "12.346 ± 0.056"),
        (844.04, 1.24, "844.0 ± 1.2"),
        (0.00101, 0.00086, "0.00101 ± 0.00086"),
        (1234.5, 250.0, "1235 ± 250"),
        (5.0, 0.0, "5"),
        (5.25, None, "5.25"),
        (1 / 128, None, "0.007813"),  # halves away from zero, as the page's script rounds
        (0.0125, 0.02, "0.013 ± 0.020"),
        (1.2e-6, 6e-7, "1.20e-06 ± 6.0e-07"),  # small ones keep their error, and its two digits
        (2.5e-9, 4e-10, "2.50e-09 ± 4.0e-10"),
        (-2e-5, 3e-7, "-2.000e-05 ± 3.0e-07"),
        (0.0, 4e-10, "0 ± 4.0e-10"),
        (3.0, 7e-6, "3.0000000 ± 0.0000070"),
        (3.0, 1e-9, "3"),
        (float("nan"), None, "nan"),
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


@pytest.mark.parametrize(
    ("found", "of", "told"),
    [
        (300, 300, f"1 (≥ {0.05 ** (1 / 300):.4g})"),  # 0.9901: about 1 − 3 / 300
        (0, 300, f"0 (≤ {1 - 0.05 ** (1 / 300):.2g})"),
        (60, 60, f"1 (≥ {0.05 ** (1 / 10):.4g})"),  # six rows to a group
        (80_000, 80_000, "1 (≥ 0.999963)"),  # 1 − 3.7e-5, which four digits would make 1
        (299, 300, "0.9967 ± 0.0057"),  # √3 / 300: two more misses than the one seen
    ],
)
def test_a_recall_of_exactly_1_or_0_has_a_bound(found, of, told) -> None:
    groups = torch.arange(of) // (6 if of == 60 else 1)
    both = counterparts_of(torch.arange(of), torch.arange(of), groups)
    before = 50 * (torch.arange(of) >= found).long()  # how many others are ranked before a partner
    way = Ranks(before, torch.ones_like(before), torch.ones_like(before))
    ranks = PartnerRanks(way, way)
    record = Record(of, {"x": 4, "y": 4})
    record_retrieval(record, ranks, both, clusters(of, both), of)
    measurement = {"metrics": record.metrics, "retrieval": record.retrieval}
    table = _retrieval(measurement)
    assert table.rows[0] == ("recall@1", told, told)
    has_bound = any("(" in cell for row in table.rows for cell in row)
    assert [remark.partition(":")[0] for remark in table.remarks] == ["≥ and ≤"] * has_bound


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


def test_a_count_has_no_digits_behind_the_point() -> None:
    """Three components hold 99 % of the variance in every draw but few: `3.000000 ± 0.000007` said no more than 3."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(400, 3, generator=generator)
    x = z @ torch.randn(3, 16, generator=generator)
    measurement = measure_embeddings(x, against=x + 1e-4 * z @ torch.ones(3, 16), estimators=["mle"])
    for table in tables(measurement):
        for row in table.rows:
            if row[0].startswith("components for"):
                assert {cell.partition(" ")[0] for cell in row[1:3] if cell} <= {"1", "2", "3", "400"}, row
    rows = {"name": "spectrum/components_99pct", "value": 12.0, "standard_error": 1.24}
    assert estimated(rows) == "12 ± 1.2"
    assert estimated(rows | {"standard_error": 7e-6}) == "12"
    assert estimated(rows | {"name": "id/mle"}) == "12.0 ± 1.2"
