"""Notes about arrays that are not what they are taken for, one for each cause."""

import pytest
import torch
from torch import Tensor

from helpers.manifolds import gaussian
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement import measure_embeddings
from intrinsic_clip.measurement.doubts import doubted_array, doubted_pair, guessing
from intrinsic_clip.measurement.loading import LoadedEmbeddings, subsample
from intrinsic_clip.measurement.row_counts import check_same_rows
from intrinsic_clip.metrics.counterparts import counterparts_of


def notes(x: Tensor, y: Tensor | None = None) -> list[str]:
    return measure_embeddings(x, y, estimators=["mle", "twonn"])["notes"]


def with_index(rows: Tensor) -> Tensor:
    return torch.cat([torch.arange(len(rows))[:, None], rows], 1)


def with_outlier(rows: Tensor) -> Tensor:
    rows = rows.clone()
    rows[17] *= 1e6
    return rows


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (gaussian(50, 400), "50 rows of 400 columns: is the array transposed?"),
        (
            with_index(gaussian(300, 8)),
            "column 0 (of 0 … 8) counts the rows: an index is no coordinate",
        ),
        (
            gaussian(300, 8) * torch.tensor([1.0] * 7 + [1e4]),
            "column 7 (of 0 … 7) holds nearly all of the variance",
        ),
        (with_outlier(gaussian(300, 8)), "row 17, up to "),
    ],
)
def test_an_array_that_looks_wrong_has_one_note(rows: Tensor, expected: str) -> None:
    doubts = doubted_array(rows)
    assert len(doubts) == 1
    assert doubts[0].startswith(expected)


@pytest.mark.parametrize(
    "rows", [gaussian(2000, 5), gaussian(100, 64), gaussian(300, 2) * torch.tensor([1, 50])]
)
def test_an_array_that_looks_right_has_none(rows: Tensor) -> None:
    assert doubted_array(rows) == []


def test_pairs_that_are_one_file_or_hold_rows_of_zeros() -> None:
    x, y = gaussian(100, 4), gaussian(100, 4, seed=1)
    assert doubted_pair(x, y) == []
    for same in (x, 3 * x, x.float()):
        assert "was one file given twice?" in doubted_pair(x, same)[0]
    y[3] = 0
    assert doubted_pair(x, y)[0].startswith("rows of zeros (1 of y) have no direction")


def test_good_pairs_have_no_note() -> None:
    x = gaussian(1000, 4) @ gaussian(4, 16, seed=1)
    assert notes(x.float(), (x + 0.1 * gaussian(1000, 16, seed=2)).float()) == []


def test_shuffled_pairs_are_doubted() -> None:
    x = (gaussian(1000, 4) @ gaussian(4, 16, seed=1)).float()
    (note,) = notes(x, x[torch.randperm(1000, generator=torch.Generator().manual_seed(0))])
    assert note.startswith(
        "pairs: rows of x and y match no better than by guessing (0.002), even after a linear map"
    )


@pytest.mark.parametrize("classes", [2, 3, 4, 10])
def test_prompts_of_few_classes_are_doubted_only_where_they_match_by_guessing(classes: int) -> None:
    """Three times the chance, which good pairs exceed, is more than 1 of two classes."""
    of = torch.arange(400) % classes
    prompts = gaussian(classes, 8, seed=1)
    x = prompts[of] + 0.3 * gaussian(400, 8, seed=2)
    for rows, doubted in ((x, False), (gaussian(400, 8, seed=3), True)):
        told = measure_embeddings(rows, prompts, labels=of, estimators=["mle"])["notes"]
        assert any("no better than by guessing" in note for note in told) == doubted
        both = counterparts_of(torch.arange(400), of)
        assert (guessing(rows, prompts[of], both) is not None) == doubted


def test_pairs_of_which_all_are_right_are_not_doubted() -> None:
    x = gaussian(200, 4, seed=1)
    told = measure_embeddings(x, x, groups=torch.arange(200) // 100, estimators=["mle"])["notes"]
    assert not any("guessing" in note for note in told)


def test_captions_have_one_note_on_duplicates_and_one_on_recall() -> None:
    x = gaussian(100, 6).repeat_interleave(5, 0)
    measurement = measure_embeddings(x, x + 0.02 * gaussian(500, 6, seed=1), estimators=["mle", "twonn"])
    assert measurement["notes"] == [
        "x: 400 of 500 points are exact duplicates of others and were counted once",
        "pairs: 400 of 500 rows of x repeat others, so recall counts every distinct row once (100 of x, 500 of y) and "
        "any of its partners as right, as published for several captions per image",
        measurement["notes"][2],
    ]
    assert measurement["notes"][2].startswith(
        "y: rows come in groups of 5: the next neighbour beyond is typically"
    )
    metrics = measurement["metrics"]
    assert [metrics[f"retrieval/top_1/{way}"] for way in ("x_to_y", "y_to_x")] == [1.0, 1.0]
    draws = {"x_to_y": 100, "y_to_x": 100}  # an image and its captions are one draw
    assert measurement["retrieval"] == {"x": 100, "y": 500, "chance": 0.01, "draws": draws}
    assert "recall@1 1.000 of 1.000 ± 0.026" in measurement["advice"]["text"]  # of 50 images held out


def test_too_few_rows_and_near_duplicates_are_noted() -> None:
    few = notes(gaussian(64, 60))
    assert [note.partition(" rows are")[0] for note in few] == ["x: 64"]
    x = gaussian(600, 4)
    copies = notes(torch.cat([x, x + 1e-8]))
    assert [note.partition(" rows are")[0] for note in copies] == ["x: 1,200 of 1,200"]


def test_a_transposed_file_is_named_where_it_meets_another() -> None:
    with pytest.raises(ConfigError, match=r"x has 16 rows, y has 300 rows; .* is x transposed\?"):
        check_same_rows({"x": (16, 300), "y": (300, 16)})


def test_subsample_keeps_partners_together_and_says_so() -> None:
    rows = torch.arange(1000.0)[:, None]
    embeddings = LoadedEmbeddings({"x": rows, "y": rows + 5})
    subsample(embeddings, 1000, seed=0)
    assert embeddings.notes == []
    subsample(embeddings, 300, seed=0)
    x, y = embeddings.sides.values()
    assert len(x) == 300
    assert torch.equal(x + 5, y)
    assert (x.diff(dim=0) > 0).all()
    assert embeddings.notes == ["subsample=300: 300 of 1,000 rows are measured, drawn with seed=0"]
