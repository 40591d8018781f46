"""Matching of a training whose rows repeat, as five captions per image do."""

import pytest
import torch

from helpers.manifolds import gaussian
from intrinsic_clip.probes import IntrinsicDimensionProbe, MatchingProbe
from intrinsic_clip.probes.embeddings import Embeddings


def test_any_of_five_captions_is_right_and_a_warning_says_so() -> None:
    x = gaussian(40, 8).repeat_interleave(5, 0)
    y = x + 0.01 * gaussian(200, 8, seed=1)
    probe = MatchingProbe(lambda module, batch: batch, similarity="cosine", ks=(1, 5))
    with pytest.warns(
        UserWarning, match=r"160 of 200 rows of x repeat others, so recall counts every distinct"
    ):
        metrics = probe.measure(Embeddings(x, y))
    names = ("retrieval/top_1", "retrieval/top_5", "retrieval/median_rank")
    assert [float(metrics[f"{name}/{way}"]) for name in names for way in ("x_to_y", "y_to_x")] == [1.0] * 6


def test_the_data_decide_what_repeats_where_they_are_known() -> None:
    x = gaussian(50, 2).sign()  # outputs that coincide, of rows that differ
    apart = (torch.arange(50), torch.arange(50))
    probe = MatchingProbe(lambda module, batch: batch)
    collapsed = probe.measure(Embeddings(x, x, things=apart))
    assert float(collapsed["matching/top_1/x_to_y"]) < 0.2
    assert Embeddings(x, x, things=apart).counterparts() is None
    some = gaussian(50, 2)
    some[:20] = some[0]
    assert Embeddings(some, some).counterparts() is not None


def test_collapsed_outputs_match_nobody() -> None:
    x = gaussian(400, 2).sign()  # four different rows, so that every partner is the nearest
    probe = MatchingProbe(lambda module, batch: batch)
    with pytest.warns(UserWarning, match="of 400 rows 4 of x and 4 of y differ, as where encoders collapse"):
        numbers = probe.measure(Embeddings(x, x, labels={"class": torch.arange(400) % 3}))
    assert numbers["matching/top_1/x_to_y"].value is None
    assert "label" in next(name for name, number in numbers.items() if isinstance(number, torch.Tensor))
    prompts = x.clone()
    apart = MatchingProbe(lambda module, batch: batch).measure(Embeddings(gaussian(400, 2), prompts))
    assert 0 <= float(apart["matching/top_1/x_to_y"]) <= 1  # class prompts repeat on one side alone


def test_too_few_rows_and_near_duplicates_warn_once_in_a_training() -> None:
    probe = IntrinsicDimensionProbe(lambda module, batch: batch)
    with pytest.warns(UserWarning, match=r"id/…/x: 64 rows are too few for such a dimension") as record:
        _ = [probe.measure(Embeddings(gaussian(64, 50))) for _ in range(2)]
    assert len(record) == 1
    x = gaussian(400, 4)
    with pytest.warns(UserWarning, match=r"id/…/x: rows are near-duplicates or come in small") as record:
        probe.measure(Embeddings(torch.cat([x, x + 1e-8])))
    assert len(record) == 1
    assert [note.partition(":")[0] for note in probe.notes] == ["id/…/x", "id/…/x"]
