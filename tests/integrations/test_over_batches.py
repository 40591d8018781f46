"""Rows are kept over batches in bounded memory, a fair sample whatever the batches."""

import pytest
import torch

import intrinsic_clip as ic
from intrinsic_clip.integrations import over_batches, processes
from intrinsic_clip.integrations.numbers import Numbers

GENERATOR = torch.Generator().manual_seed(0)
X = torch.rand(500, 3, generator=GENERATOR)
Y = torch.cat([X, 1 - X], 1)


def fed(measure: ic.Measure, size: int, x=X, y=Y) -> ic.Measure:
    """Return a Measure that has seen the rows in batches of a size."""
    for start in range(0, len(x), size):
        measure.update(x[start : start + size], y[start : start + size])
    return measure


def test_all_rows_give_the_numbers_of_one_call() -> None:
    measure = fed(ic.Measure(max_rows=500), 70)
    assert len(measure) == measure.seen == 500
    assert dict(measure.compute(tau=0.1)) == dict(ic.measure(X, Y, tau=0.1))


@pytest.mark.parametrize("max_rows", [1, 30, 499])
def test_the_sample_does_not_depend_on_the_batches(max_rows: int) -> None:
    samples = [fed(ic.Measure(max_rows=max_rows), size)._own() for size in (1, 7, 64, 500)]
    for sample in samples:
        assert len(sample["x"]) == max_rows
        assert torch.equal(sample["x"], samples[0]["x"])
        torch.testing.assert_close(sample["y"][:, :3], sample["x"])  # pairs stay paired


def test_every_row_has_the_same_chance() -> None:
    rows = torch.arange(40.0)[:, None].expand(-1, 2)
    counts = torch.zeros(40)
    for seed in range(400):
        measure = ic.Measure(max_rows=10, seed=seed)
        for batch in rows.split(3):
            measure.update(batch)
        counts[measure._own()["x"][:, 0].long()] += 1
    assert counts.sum() == 4000
    assert (counts - 100).abs().max() < 4.5 * (100 * 0.75) ** 0.5
    assert abs(float(counts[:20].sum()) - 2000) < 4 * (4000 * 0.25 * 0.75) ** 0.5


def test_memory_is_bounded_and_batches_are_copied() -> None:
    measure, batch = ic.Measure(max_rows=50), X[:20].clone()
    measure.update(batch)
    batch.zero_()
    assert measure._own()["x"].abs().sum() > 0
    for _ in range(100):
        measure.update(X[:20])
    assert sum(len(part["x"]) for part in measure._parts) <= 120
    assert measure.seen == 2020
    assert "a sample of 50 of 2,020 rows" in measure.compute().notes[-1]


def test_reset_begins_anew() -> None:
    measure = ic.Measure(max_rows=20)
    first = fed(measure, 50)._own()["x"]
    measure.reset()
    assert len(measure) == measure.seen == 0
    assert torch.equal(fed(measure, 50)._own()["x"], first)


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="no number 'idd'"):
        ic.Measure(only="idd")
    with pytest.raises(ValueError, match="max_rows must be"):
        ic.Measure(max_rows=0)
    measure = ic.Measure()
    with pytest.raises(ValueError, match="no rows came"):
        measure.compute()
    measure.update(X, Y)
    with pytest.raises(ValueError, match="first x of 3 columns, y of 6 columns, now x of 3 columns"):
        measure.update(X)
    assert measure.seen == 500


def test_labels_stay_with_their_rows() -> None:
    measure = ic.Measure(only="matching/label_class", max_rows=100)
    labels = torch.arange(500) % 5
    rows = torch.eye(5)[labels]
    for start in range(0, 500, 64):
        measure.update(rows[start : start + 64], rows[start : start + 64], labels[start : start + 64])
    assert set(measure.compute().values()) == {1.0}


def test_processes_merge_fairly(monkeypatch) -> None:
    """Two processes of 400 and 100 rows; the sample holds of each what it has of all rows."""
    whole = [
        fed(ic.Measure(max_rows=100, seed=seed), 50, X[a:b], Y[a:b])
        for seed, a, b in ((0, 0, 400), (7, 400, 500))
    ]
    shares = [(measure.seen, measure._own()) for measure in whole]
    monkeypatch.setattr(processes, "several", lambda: True)
    monkeypatch.setattr(processes, "checked_together", lambda read, kind: read())
    monkeypatch.setattr(processes, "shared_by_all", lambda share: shares)
    monkeypatch.setattr(processes, "by_the_first", lambda work: work())
    chosen = []
    monkeypatch.setattr(over_batches, "measured", lambda parts, *rest: chosen.append(parts) or Numbers())
    whole[0].compute(gather=True)
    of_first = sum(bool((row == X[:400]).all(1).any()) for row in chosen[0]["x"])
    assert len(chosen[0]["x"]) == 100
    assert 65 <= of_first <= 93  # 80 ± 4 expected
