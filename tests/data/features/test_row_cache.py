"""Rows are computed once, even if the first attempt was killed."""

from pathlib import Path

import numpy as np
import pytest
import torch

from intrinsic_clip.data.features.row_cache import load_or_compute_rows
from intrinsic_clip.errors import ConfigError

X, Y = torch.randn(10, 3), torch.randn(10, 2)


class Counting:
    """Function that computes the rows above and records which; fails at row `fails_at`."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.requested: list[tuple[int, int]] = []
        self.fails_at = fails_at

    def __call__(self, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        if start == self.fails_at:
            raise KeyboardInterrupt
        self.requested.append((start, stop))
        return X[start:stop], Y[start:stop]

    def rows(self, folder: Path) -> tuple[np.ndarray, np.ndarray]:
        return load_or_compute_rows(folder, 10, 4, lambda: self, "rows")


def test_computed_once_and_mapped_into_memory(tmp_path) -> None:
    first, second = Counting(), Counting()
    for rows in (first.rows(tmp_path / "new" / "rows"), second.rows(tmp_path / "new" / "rows")):
        for array, expected in zip(rows, (X, Y), strict=True):
            assert isinstance(array, np.memmap)
            assert np.array_equal(array, expected.numpy())
    assert first.requested == [(0, 4), (4, 8), (8, 10)]
    assert second.requested == []


def test_killed_and_continued(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("intrinsic_clip.data.features.row_cache.SAVE_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt):
        Counting(fails_at=8).rows(tmp_path)
    again = Counting()
    assert np.array_equal(again.rows(tmp_path)[0], X.numpy())
    assert again.requested == [(8, 10)]


def test_killed_before_anything_was_saved(tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Counting(fails_at=8).rows(tmp_path)
    again = Counting()
    assert np.array_equal(again.rows(tmp_path)[1], Y.numpy())
    assert again.requested[0] == (0, 4)


@pytest.mark.parametrize("damage", ["cut", "gone", "progress"])
def test_damaged_files_are_written_anew(tmp_path, damage) -> None:
    Counting().rows(tmp_path)
    if damage == "cut":
        whole = (tmp_path / "x.npy").read_bytes()
        (tmp_path / "x.npy").write_bytes(whole[:-8])
    elif damage == "gone":
        (tmp_path / "y.npy").unlink()
    else:
        (tmp_path / "progress.json").write_text("{")
    again = Counting()
    assert np.array_equal(again.rows(tmp_path)[0], X.numpy())
    assert len(again.requested) == 3


def _half_done(folder: Path) -> None:
    """Save eight of the ten rows."""
    with pytest.raises(KeyboardInterrupt):
        Counting(fails_at=8).rows(folder)


@pytest.mark.parametrize("half_done", [False, True])
@pytest.mark.parametrize(
    ("name", "place", "byte"),
    [("x.npy", 128 + 5, 1), ("y.npy", -3, 128), ("x.npy", 20, 1), ("x.npy", 10, 4), ("y.npy", 60, 255)],
)
def test_a_flipped_bit_is_noticed_and_the_rows_are_computed_anew(
    tmp_path, monkeypatch, capsys, name, place, byte, half_done
) -> None:
    monkeypatch.setattr("intrinsic_clip.data.features.row_cache.SAVE_SECONDS", 0)
    if half_done:
        _half_done(tmp_path)
    else:
        Counting().rows(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[place] ^= byte
    (tmp_path / name).write_bytes(content)
    again = Counting()
    for array, expected in zip(again.rows(tmp_path), (X, Y), strict=True):
        assert np.array_equal(array, expected.numpy())
    if half_done and place < 0:
        assert again.requested == [(8, 10)]  # a row that was not saved yet
    else:
        assert again.requested[0] == (0, 4)
        assert "it is computed anew" in capsys.readouterr().out


@pytest.mark.parametrize(
    "progress",
    [
        '{"rows": 8}',
        '{"rows": true}',
        '{"rows": 99}',
        '{"rows": "8"}',
        "[8]",
        "8",
        '{"sha256": {}, "rows": 8}',
    ],
)
def test_only_a_plain_number_of_rows_counts_without_checksums(tmp_path, monkeypatch, progress) -> None:
    monkeypatch.setattr("intrinsic_clip.data.features.row_cache.SAVE_SECONDS", 0)
    _half_done(tmp_path)
    (tmp_path / "progress.json").write_text(progress)  # as version 0 wrote it, and others
    again = Counting()
    assert np.array_equal(again.rows(tmp_path)[0], X.numpy())
    assert again.requested[0] == ((8, 10) if progress == '{"rows": 8}' else (0, 4))


def test_a_newer_version_is_refused_and_a_folder_named(tmp_path) -> None:
    Counting().rows(tmp_path)
    (tmp_path / "progress.json").write_text('{"format": 2, "rows": 10}')
    with pytest.raises(ConfigError, match=r"progress.json: format 2 is of a newer version"):
        Counting().rows(tmp_path)
    (tmp_path / "progress.json").unlink()
    (tmp_path / "progress.json").mkdir()
    with pytest.raises(ConfigError, match=r"progress.json: is a folder"):
        Counting().rows(tmp_path)


def test_a_full_disk_is_an_error_and_no_signal(tmp_path, monkeypatch) -> None:
    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*x.npy'"):
        Counting().rows(tmp_path)


def test_a_lock_that_a_killed_process_left_is_cleared(tmp_path) -> None:
    Counting().rows(tmp_path)
    (tmp_path / "lock").write_text("")
    Counting().rows(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"progress.json", "x.npy", "y.npy"}


def test_changes_stay_in_memory(tmp_path) -> None:
    x, _ = Counting().rows(tmp_path)
    x[:] = 0
    assert np.array_equal(Counting().rows(tmp_path)[0], X.numpy())


def test_a_model_that_cannot_be_had_leaves_nothing(tmp_path) -> None:
    def begin() -> Counting:
        raise ValueError("no such model")

    with pytest.raises(ValueError, match="no such model"):
        load_or_compute_rows(tmp_path / "rows", 10, 4, begin, "rows")
    assert not (tmp_path / "rows").exists()
