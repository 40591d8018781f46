"""A killed run, started again with the same command, ends as if nothing had happened."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.between_epochs import killed_between_epochs
from helpers.tiny_runs import TINY, struck, without_time
from intrinsic_clip.runs import results, versions
from intrinsic_clip.training.train import train

pytestmark = pytest.mark.slow


def test_interrupted_and_started_again_ends_with_the_same_numbers(tmp_path, compose) -> None:
    """Press Ctrl-C in the fourth epoch; tests/soak kills at every moment."""
    ended = struck(tmp_path, 28, signal.SIGINT, *TINY)
    assert ended.code == 130, ended.err
    (folder,) = tmp_path.glob("outputs/custom/*")
    assert (folder / "last.ckpt").exists()
    assert results.read_completed(folder) is None
    assert "Interrupted; the same command resumes from the last checkpoint." in ended.err
    assert "Traceback" not in ended.out + ended.err

    resumed = train(compose())
    whole = train(compose("output_dir=uninterrupted"))
    assert resumed["timings"]["resumed"]
    assert not whole["timings"]["resumed"]
    assert resumed["metrics"] == whole["metrics"]
    other = tmp_path / "uninterrupted" / "custom" / folder.name
    for name in ("metrics.csv", "embeddings.safetensors"):
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.parametrize("epochs", [1, 4])
@pytest.mark.parametrize(
    "settings",
    [
        ["+trainer.max_steps=44"],  # eight in an epoch: in the middle of the last
        ["+trainer.max_steps=44", "shuffle=true", "schedule=one_cycle", "objective/temperature=scheduled"],
        ["+trainer.max_steps=16", "+trainer.limit_train_batches=3"],
    ],
    ids=["plain", "shuffled and scheduled", "limited"],
)
def test_a_training_of_so_many_steps_that_was_killed_between_epochs_takes_each_step_once(
    tmp_path, compose, settings, epochs
) -> None:
    """Lightning would begin the ended epoch again, and leave out as many steps at the end."""
    whole = train(compose("output_dir=uninterrupted", *settings))
    with killed_between_epochs(epochs), pytest.raises(KeyboardInterrupt):
        train(compose(*settings))
    resumed = train(compose(*settings))
    assert resumed["timings"]["resumed"]
    assert resumed["metrics"] == whole["metrics"]
    killed, other = (
        next(tmp_path.glob(f"{top}/custom/*/metrics.csv")) for top in ("outputs", "uninterrupted")
    )
    assert killed.read_bytes() == other.read_bytes()


def test_killed_between_the_last_epoch_and_the_results(tmp_path, compose) -> None:
    whole = train(compose())
    folder = next(tmp_path.glob("outputs/custom/*"))
    metrics = (folder / "metrics.csv").read_bytes()
    (folder / "results.json").unlink()
    resumed = train(compose())
    assert without_time(resumed) == without_time(whole)
    assert (folder / "metrics.csv").read_bytes() == metrics


def test_a_half_written_results_file_does_not_count(tmp_path, compose) -> None:
    whole = train(compose())
    path = next(tmp_path.glob("outputs/custom/*/results.json"))
    path.write_text(path.read_text()[:-20])
    assert without_time(train(compose())) == without_time(whole)


def test_a_finished_run_says_so_without_loading_pytorch(tmp_path, compose, capsys) -> None:
    train(compose())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("outputs/**/*")}
    capsys.readouterr()
    program = (
        "import sys; from intrinsic_clip.cli.program import main; "
        f"sys.argv = ['intrinsic-clip', 'train', *{TINY!r}]; main(); print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.startswith("Done already")
    assert said.endswith("False\n")
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("outputs/**/*")}


def test_a_finished_run_says_that_the_code_is_another_now(compose, monkeypatch, capsys) -> None:
    train(compose())
    monkeypatch.setattr(versions, "_commit", lambda: None)
    monkeypatch.setattr(versions, "_version", lambda package: "another")
    capsys.readouterr()
    train(compose())
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Done already: nothing to train."
    assert said[1].startswith("made with the code of version ")
    assert said[1].endswith("so delete the folder to train the run anew")


def test_a_damaged_checkpoint_is_named(tmp_path, command_line, capsys) -> None:
    assert command_line("train", *TINY) == 0
    folder = next(tmp_path.glob("outputs/custom/*"))
    (folder / "results.json").unlink()
    (folder / "last.ckpt").write_bytes(b"not a checkpoint")
    assert command_line("train", *TINY) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "last.ckpt" in error
    assert "delete it" in error


def _flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_what_is_damaged_is_said_and_mended_or_refused_in_one_line(tmp_path, command_line, capsys) -> None:
    def again(code: int, *overrides: str) -> str:
        """Give the command again; return what it said."""
        capsys.readouterr()
        assert command_line("train", *TINY, *overrides) == code
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return (said.out if code == 0 else said.err).strip()

    again(0)
    (folder,) = tmp_path.glob("outputs/custom/*")
    whole = {path: path.read_bytes() for path in folder.iterdir()}
    metrics = results.read_completed(folder)["metrics"]

    def restore(*without: str) -> dict[str, bytes]:
        for path, content in whole.items():
            path.write_bytes(content)
        for name in without:
            (folder / name).unlink()
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    (folder / "lock").write_text("process 1 trains this run")
    _flip(folder / "metrics.csv", -3)
    said = again(0)
    assert said.startswith("Done already")
    assert (
        f"{folder.relative_to(tmp_path)}/metrics.csv: damaged since the run was finished; delete the folder"
        in said
    )
    assert not (folder / "lock").exists()

    restore()
    _flip(folder / "results.json", 300)
    assert "results.json: damaged (its checksum differs); its numbers are trained anew" in again(0)
    assert results.read_completed(folder)["metrics"] == metrics

    restore()
    content = json.loads(whole[folder / "results.json"])
    (folder / "results.json").write_text(json.dumps(content | {"format": 2}))
    assert "results.json: format 2 is of a newer version" in again(2)

    restore("results.json")
    with (folder / "last.ckpt").open("r+b") as file:
        file.truncate(len(whole[folder / "last.ckpt"]) // 2)
    assert "last.ckpt: damaged (BadZipFile" in again(2)

    for spoilt in (
        whole[folder / "metrics.csv"][:-5],
        b"",
        whole[folder / "metrics.csv"].replace(b"1.", b"2.", 1),
    ):
        before = restore("results.json")
        (folder / "metrics.csv").write_bytes(spoilt)
        said = again(2)
        assert "metrics.csv: damaged (" in said
        assert said.endswith("; delete it and last.ckpt to train the run anew")
        assert said.count("\n") == 0
        after = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert after == before | {"metrics.csv": spoilt}

    restore("results.json", "run.png")
    (folder / "run.png").mkdir()
    assert "run.png: is no regular file, and the run writes one of this name; move it away" in again(2)
