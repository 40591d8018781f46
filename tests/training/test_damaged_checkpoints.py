"""A checkpoint that is not what was written is named, before anything is trained on it."""

import random
from pathlib import Path

import pytest
import torch

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.sealed import write_sealed
from intrinsic_clip.training import chunks
from intrinsic_clip.training.checkpoints import AtomicCheckpointIO, check_resumable, read_checkpoint

STATE = {"weight": torch.arange(40.0).reshape(8, 5), "bias": torch.zeros(8)}
CONTENT = {
    "epoch": 3, "global_step": 24, "pytorch-lightning_version": "2.6.0", "state_dict": STATE, "loops": {},
    "callbacks": {"ResumePoint": {"metrics_size": 0, "metrics_sha256": None}}, "optimizer_states": [],
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    AtomicCheckpointIO().save_checkpoint(CONTENT, tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


def test_it_is_read_as_it_was_written(path) -> None:
    for mapped in (False, True):
        read = read_checkpoint(path, mapped)
        assert read["epoch"] == 3
        assert all(torch.equal(read["state_dict"][name], value) for name, value in STATE.items())
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_every_flipped_bit_is_noticed_or_changes_no_number(path) -> None:
    whole = path.read_bytes()
    draw = random.Random(0)
    places = sorted({*range(0, len(whole), 7), *draw.sample(range(len(whole)), 100)})
    refused = 0
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << draw.randrange(8)]) + whole[place + 1 :])
        try:
            read = AtomicCheckpointIO().load_checkpoint(path)
        except ConfigError as error:
            refused += "last.ckpt: damaged (" in str(error) and str(error).endswith(
                "; delete it to start again"
            )
        else:
            assert read["epoch"] == 3
            assert all(torch.equal(read["state_dict"][name], value) for name, value in STATE.items())
            refused += 1
    assert refused == len(places)


def test_the_archive_alone_does_not_notice(path) -> None:
    """PyTorch reads a flipped weight without a word; should it learn to notice, the check here can go."""
    whole = path.read_bytes()
    weight = STATE["weight"].numpy().tobytes()
    place = whole.index(weight) + len(weight) - 1
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 64]) + whole[place + 1 :])
    silent = torch.load(path, weights_only=True)["state_dict"]["weight"]
    assert not torch.equal(silent, STATE["weight"])
    with pytest.raises(ConfigError, match=r"damaged \(the checksum of .*data/0 differs\)"):
        read_checkpoint(path)


@pytest.mark.parametrize("length", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_one_is_damaged(path, length) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: length if length >= 1 else int(length * len(whole))])
    with pytest.raises(ConfigError, match=r"last.ckpt: damaged \(\w+: .*\); delete it to start again"):
        check_resumable(path.parent)


@pytest.mark.parametrize(
    "content", [3, [], {}, {**CONTENT, "state_dict": 3}, {k: v for k, v in CONTENT.items() if k != "loops"}]
)
def test_one_of_another_shape_is_damaged(path, content) -> None:
    torch.save(content, path)
    with pytest.raises(ConfigError, match=r"last.ckpt: damaged \((no \w+ in it|it holds a \w+)\); delete it"):
        read_checkpoint(path)


def test_one_of_another_run_a_newer_version_or_version_0(path) -> None:
    torch.save({**CONTENT, "intrinsic_clip": {"format": 1, "run": "ffff"}}, path)
    with pytest.raises(ConfigError, match=r"damaged \(of another run, ffff\)"):
        read_checkpoint(path)
    torch.save({**CONTENT, "intrinsic_clip": {"format": 2, "run": path.parent.name}}, path)
    with pytest.raises(
        ConfigError, match="format 2 is of a newer version of intrinsic-clip, this one reads up to 1"
    ):
        read_checkpoint(path)
    torch.save({**CONTENT, "intrinsic_clip": {"format": "1"}}, path)
    with pytest.raises(ConfigError, match="which format"):
        read_checkpoint(path)
    torch.save(CONTENT, path)  # as before there were versions
    (path.parent / "metrics.csv").touch()
    assert read_checkpoint(path)["global_step"] == 24
    check_resumable(path.parent)


def test_metrics_that_are_not_those_of_the_checkpoint_are_named(path) -> None:
    torch.save({**CONTENT, "callbacks": {"ResumePoint": {"metrics_size": 9}}}, path)
    (path.parent / "metrics.csv").touch()
    with pytest.raises(
        ConfigError, match=r"metrics.csv: damaged \(9 bytes shorter than at the last checkpoint\)"
    ):
        check_resumable(path.parent)


@pytest.mark.parametrize(("size", "exists"), [(9, False), (0, False), (None, False), (None, True)])
def test_a_checkpoint_without_its_metrics_is_named(path, size, exists) -> None:
    torch.save({**CONTENT, "callbacks": {"ResumePoint": {"metrics_size": size}}}, path)
    if exists:
        (path.parent / "metrics.csv").touch()  # begun in the middle, by a later start
    expected = r"last.ckpt: metrics.csv, which belongs to it, is missing; delete it to start again"
    with pytest.raises(ConfigError, match=expected):
        check_resumable(path.parent)


def test_what_is_no_file_is_an_error_of_the_system(tmp_path) -> None:
    check_resumable(tmp_path)
    (tmp_path / "last.ckpt").mkdir()
    with pytest.raises(IsADirectoryError):
        check_resumable(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "null",
        "{}",
        "[]",
        "[3]",
        "[[]]",
        '[["0"]]',
        "[[0, 1]]",
        "[[1], [0]]",
        '{"chunks": [[0], [1]]}',
    ],
)
def test_a_damaged_plan_of_chunks_is_made_anew(tmp_path, text) -> None:
    (tmp_path / "chunks.json").write_text(text)
    expected = [[0, 1]] if text == "[[0, 1]]" else None  # the plan of version 0
    assert chunks.begun_with(tmp_path, [0, 1]) == expected
    write_sealed(tmp_path / "chunks.json", {"chunks": [[0], [1]]})
    assert chunks.begun_with(tmp_path, [0, 1]) == [[0], [1]]
    assert chunks.begun_with(tmp_path, [0, 1, 2]) is None
    plan = (tmp_path / "chunks.json").read_text()
    (tmp_path / "chunks.json").write_text(plan.replace("0", "2", 1))
    assert chunks.begun_with(tmp_path, [0, 1]) is None
