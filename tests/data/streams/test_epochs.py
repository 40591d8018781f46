"""Streamed epochs: shared by processes, and resumed in the middle."""

import json
from collections import Counter
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helpers.ranks import in_ranks, succeeded
from helpers.tar_files import place_in, write_shards
from helpers.two_streams import SIZES, every_plan
from intrinsic_clip.data.streams.epochs import Epochs
from intrinsic_clip.data.streams.webdataset import WebDatasetShards

pytestmark = pytest.mark.slow

UNEVEN = [30, 3, 11, 17, 2, 7, 30]  # less the 12 held out, eleven batches of 8


@pytest.mark.long
def test_two_processes_see_every_pair_once_and_resume_in_the_middle(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "set", UNEVEN)
    assert succeeded(in_ranks(2, tmp_path, lambda: every_plan(shards, 2, tmp_path)))
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    expected = Counter(row for x, _ in load(shards, 0) for row in x.long().sum((1, 2, 3)).tolist())
    for epoch in range(3):
        batches = [rows for rank in ranks for e, rows in rank["once, early"][0] if e == epoch]
        assert Counter(chain(*batches)) == expected
        assert [len(rows) for rows in batches] == [4] * 22
    for rank in ranks:
        assert Counter(epoch for epoch, _ in rank["counted"][0]) == {0: 12, 1: 12, 2: 12}
        places = {"once, early": 11 + 2, "once, late": 11 + 9, "counted": 12 + 7}
        for name, place in places.items():
            whole, resumed = rank[name]
            assert resumed == whole[place:], name
    assert [place_in(tmp_path / f"{after}.ckpt")["pooled"] > 0 for after in (2, 9)] == [False, True]


def load(shards: str, workers: int, batches: int | None = None) -> Epochs:
    data = WebDatasetShards(shards, workers=workers, epoch_batches=batches, **SIZES)
    return data.train_dataloader()


def trainer_at(epoch: int, trained: int) -> Any:
    """Imitate the attributes of Lightning's trainer that a loader reads."""
    progress = SimpleNamespace(current=SimpleNamespace(processed=epoch))
    return SimpleNamespace(
        fit_loop=SimpleNamespace(epoch_progress=progress, epoch_loop=SimpleNamespace(batch_idx=trained - 1))
    )


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize(("workers", "batches"), [(0, None), (0, 30), (2, None), (3, 30)])
def test_an_epoch_resumes_after_any_of_its_batches(
    tmp_path: Path, workers: int, batches: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = write_shards(tmp_path / "set", UNEVEN, spoilt=frozenset(range(0, 100, 7)))
    cut = tmp_path / "set" / "00003.tar"
    cut.write_bytes(cut.read_bytes()[:20_000])
    epochs = load(shards, workers, batches)
    whole, states = [], []
    for given, (x, y) in enumerate(epochs, start=1):
        whole.append((x.tolist(), y.tolist()))
        epochs.trainer = trainer_at(0, given)
        states.append(json.loads(json.dumps(epochs.state_dict())))
    report = capsys.readouterr().err
    assert "corrupt image" in report
    for given in range(1, len(whole), 1 if workers == 0 else 4):
        resumed = load(shards, workers, batches)
        resumed.load_state_dict(states[given - 1])
        assert [(x.tolist(), y.tolist()) for x, y in resumed] == whole[given:], given
        assert capsys.readouterr().err == report


def test_samples_passed_over_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from intrinsic_clip.data.streams import shard_stream

    shards = write_shards(tmp_path / "set", [100])
    epochs = load(shards, 0)
    decoded: list[str] = []
    decode = shard_stream.decode
    monkeypatch.setattr(
        shard_stream, "decode", lambda name, *rest: decoded.append(name) or decode(name, *rest)
    )
    for given, _ in enumerate(epochs, start=1):
        if given == 8:
            break
    before = [*decoded]
    epochs.trainer = trainer_at(0, 8)
    resumed = load(shards, 0)
    resumed.load_state_dict(epochs.state_dict())
    decoded.clear()
    list(resumed)
    assert len(before) + len(decoded) == 100
    assert not set(before) & set(decoded)
