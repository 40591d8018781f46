"""Pairs that cannot be measured are left out, and those that may be meant otherwise are told of."""

import json
import math

import pytest
import torch

import intrinsic_clip as ic
from intrinsic_clip.integrations.torchmetrics import EmbeddingNumbers

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(300, 8, generator=GENERATOR)
Y = X + 0.1 * torch.randn(300, 8, generator=GENERATOR)
NORMS = "matching compares inner products"
GUESSING = "match no better than by guessing"
PAIRS = [
    "matching",
    "retrieval",
    "alignment",
    "modality_gap",
    "uniformity",
    "similarity",
    "id/mle",
    "spectrum",
]


def unit(rows: torch.Tensor) -> torch.Tensor:
    """Return rows of norm 1."""
    return torch.nn.functional.normalize(rows, dim=-1)


def test_pairs_with_nan_on_either_side_are_left_out_of_all_numbers() -> None:
    x, y = X.clone(), Y.clone()
    x[3, 1], x[7], y[3], y[9, 0] = math.nan, math.inf, math.nan, -math.inf
    keep = [row for row in range(300) if row not in (3, 7, 9)]
    labels = torch.arange(300) % 3
    with pytest.warns(
        UserWarning, match=r"3 of 300 pairs hold NaN or infinity \(2 in x, 2 in y\) and were left out"
    ):
        numbers = ic.measure(x, y, only=PAIRS, labels=labels)
    with pytest.warns(UserWarning, match=NORMS):
        assert dict(numbers) == dict(ic.measure(X[keep], Y[keep], only=PAIRS, labels=labels[keep]))
    assert numbers.rows == 297
    assert not any(map(math.isnan, numbers.values()))
    with pytest.warns(UserWarning, match="^2 of 300 rows hold NaN or infinity and were left out"):
        assert not math.isnan(ic.measure(x, only="uniformity")["uniformity/x"])


def test_norms_that_vary_are_told_where_inner_products_are_compared() -> None:
    scaled = Y * torch.linspace(0.1, 2, 300)[:, None]
    with pytest.warns(
        UserWarning, match=f"{NORMS}.* and norms vary by .* in y: retrieval/… compares cosines"
    ):
        notes = ic.measure(unit(X), scaled, only="matching").notes
    assert len(notes) == 1
    assert not ic.measure(X, scaled, only=["retrieval", "alignment"]).notes
    assert not ic.measure(unit(X), 3 * unit(Y), only=["matching", "retrieval"]).notes


@pytest.mark.parametrize("word", ["matching", "retrieval", "matching/top_5"])
def test_pairs_in_another_order_are_told_of(word: str) -> None:
    with pytest.warns(UserWarning, match=GUESSING):
        ic.measure(unit(X), unit(Y[torch.randperm(300, generator=GENERATOR)]), only=word)
    few_good = Y.clone()
    few_good[30:] = torch.randn(270, 8, generator=GENERATOR)  # a tenth of the pairs match
    assert not ic.measure(unit(X), unit(few_good), only=word).notes
    measure = ic.Measure(word)
    measure.update(unit(X), unit(Y).flip(0))
    with pytest.warns(UserWarning, match=GUESSING):
        measure.compute()


def test_unequal_widths_cost_only_what_compares_x_and_y() -> None:
    with pytest.warns(UserWarning, match="are NaN") as caught:
        numbers = ic.measure(
            X, Y[:, :5], only=["matching", "retrieval/top_1", "alignment", "uniformity", "norm"]
        )
    assert [str(warning.message) for warning in caught] == [
        "matching/top_1/x_to_y, matching/top_1/y_to_x and 7 more are NaN: x has 8 columns and y 5, and this compares "
        "rows of x and y"
    ]
    assert {name for name, value in numbers.items() if not math.isnan(value)} == {
        "uniformity/x", "uniformity/y", "norm/x", "norm/y"
    }  # fmt: skip
    assert [name for name in numbers if name.startswith("matching")] == [
        f"matching/{top}/{way}"
        for top in ("top_1", "top_0.5pct", "median_rank")
        for way in ("x_to_y", "y_to_x")
    ]


def test_too_few_rows_are_told_of_and_json_has_null() -> None:
    with pytest.warns(UserWarning, match="id/mle/x is NaN: needs at least 21 distinct points"):
        numbers = ic.measure(X[:5], only=["id/mle", "norm"])
    values = json.loads(numbers.to_json())
    assert values["id/mle/x"] is None
    assert values["norm/x"] == numbers["norm/x"]


def test_more_rows_are_asked_for_by_the_caller_s_argument_where_there_are_more() -> None:
    rows = torch.randn(400, 20, generator=GENERATOR)
    few = "too few for such a dimension"
    with pytest.warns(UserWarning, match=f"{few}.*noise only$"):
        ic.measure(rows[:50], only="id/mle")
    with pytest.warns(UserWarning, match=rf"{few}.*\(max_points=…\)$"):
        ic.measure(rows, only="id/mle", max_points=50)
    measure, metric = ic.Measure("id/mle", max_rows=50), EmbeddingNumbers("id/mle", sides="x", max_rows=50)
    for kept in (measure, metric):
        kept.update(rows)
        with pytest.warns(UserWarning, match=rf"{few}.*\(max_rows=…\)$"):
            kept.compute()
    assert "a sample of 50 of 400 rows, drawn at random; max_rows=… measures more" in measure.compute().notes


@pytest.mark.parametrize("tau", [0, -1, math.nan, math.inf])
def test_a_temperature_is_positive(tau: float) -> None:
    with pytest.raises(ValueError, match="tau must be a positive number"):
        ic.measure(X, Y, tau=tau)


def test_names_serve_as_labels_over_batches() -> None:
    names = ["cat", "dog", "mouse"] * 100
    measure = ic.Measure("matching/label_class")
    measure.update(unit(X[:100]), unit(Y[:100]), names[:100])
    measure.update(unit(X[100:]), unit(Y[100:]), names[100:])
    codes = torch.arange(300) % 3
    assert dict(measure.compute()) == dict(
        ic.measure(unit(X), unit(Y), only="matching/label_class", labels=codes)
    )


def test_labels_that_are_missing_or_of_no_use_are_told_of() -> None:
    with pytest.warns(UserWarning, match="NaN: there are no labels 'breed', only class"):
        numbers = ic.measure(unit(X), unit(Y), only="matching/label_breed", labels=torch.arange(300) % 3)
    assert list(numbers) == ["matching/label_breed/x_to_y", "matching/label_breed/y_to_x"]
    with pytest.warns(UserWarning, match="labels are for matching"):
        ic.measure(X, only="norm", labels=torch.arange(300) % 3)
