"""Two processes never write one run folder, and a lock that a crash left does not count."""

import os
import signal

import pytest

from helpers.tiny_runs import LONGER, files_below, start, wait_for
from intrinsic_clip.errors import InUse
from intrinsic_clip.runs import locks
from intrinsic_clip.runs.locks import clear_left_behind, held, left_behind


def test_a_folder_is_held_once_and_left_clean(tmp_path) -> None:
    folder = tmp_path / "outputs" / "run"
    with held(folder):
        with (
            pytest.raises(InUse, match=f"run: process {os.getpid()} on .* trains this run since 2.*; wait"),
            held(folder),
        ):
            pass
        assert left_behind(folder)
    with pytest.raises(KeyError), held(folder):
        raise KeyError
    with held(folder):
        pass
    assert files_below(tmp_path) == []


def test_the_text_of_a_dead_process_does_not_lock(tmp_path) -> None:
    (tmp_path / "lock").write_text("process 1 on elsewhere trains this run since long ago")
    with held(tmp_path):
        assert f"process {os.getpid()} on" in (tmp_path / "lock").read_text()
    assert not left_behind(tmp_path)


def test_a_lock_left_after_the_last_write_is_cleared_and_a_held_one_is_not(tmp_path) -> None:
    clear_left_behind(tmp_path)
    (tmp_path / "lock").write_bytes(b"process 1 \xff\n")
    clear_left_behind(tmp_path)
    assert files_below(tmp_path) == []
    with held(tmp_path):
        clear_left_behind(tmp_path)
        assert left_behind(tmp_path)
        with pytest.raises(InUse):
            held(tmp_path).__enter__()
    (tmp_path / "lock").mkdir()
    clear_left_behind(tmp_path)
    with pytest.raises(IsADirectoryError), held(tmp_path):
        pass


@pytest.mark.parametrize(
    "text", [b"", b"\xff\xfe\n\0", b"line\nline", b"x" * 10_000, "lösung \x1b[31m".encode()]
)
def test_whatever_a_lock_says_the_message_is_one_printable_line(tmp_path, text) -> None:
    (tmp_path / "lock").write_bytes(text)
    said = locks._holder(tmp_path / "lock")
    assert said.isprintable()
    assert 0 < len(said) <= 200


@pytest.mark.slow
def test_a_second_process_waits_for_no_one_and_a_killed_one_blocks_no_one(
    tmp_path, command_line, capsys
) -> None:
    first = start(tmp_path, *LONGER, "trainer.max_epochs=2000")
    folder = wait_for(tmp_path, "outputs/custom/*/last.ckpt").parent
    assert command_line("train", *LONGER, "trainer.max_epochs=2000") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"intrinsic-clip: {folder.relative_to(tmp_path)}: process {first.pid} on ")
    assert error.endswith("; wait for it or stop it\n")
    assert error.count("\n") == 1
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert left_behind(folder)

    with held(folder):
        assert f"process {os.getpid()} on" in (folder / "lock").read_text()


@pytest.mark.slow
def test_who_waited_for_another_process_finds_the_run_done(tmp_path, compose, monkeypatch, capsys) -> None:
    from intrinsic_clip.training import train

    whole = train.train(compose())
    capsys.readouterr()
    read_completed = train.results.read_completed
    answers = iter([None])  # as if the other had finished between the first look and the lock
    monkeypatch.setattr(
        train.results, "read_completed", lambda folder: next(answers, whole) and read_completed(folder)
    )
    assert train.train(compose())["metrics"] == whole["metrics"]
    said = capsys.readouterr().out
    assert "Training" not in said
    assert said.startswith("Done already: nothing to train.\n")
    assert "results.json" in said
