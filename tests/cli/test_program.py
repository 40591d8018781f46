"""The command line as a user meets it: help, one-line errors with exit code 2, nothing written."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.tiny_runs import TINY, files_below
from intrinsic_clip.cli import program

WRONG = {
    "objective.temperature.tau=0.1": "tau: unknown key with the choices made; objective/temperature=fixed has it",
    "size.replicates=3": "size.replicates: unknown key, did you mean replicates?",
    "defaults=3": "defaults: unknown key; see intrinsic-clip train --help",
    "trainer.profiler=simple": "trainer.profiler: unknown key; +trainer.profiler=… adds it",
    "optimizer.amsgrad=true": "optimizer.amsgrad: unknown key; +optimizer.amsgrad=… adds it",
    "encoder.outputdim=3": "encoder.outputdim: unknown key, did you mean encoder.output_dim?",
    "size=null": "size=null: size is a group; ~size leaves it out",
    "experiment=lineer": "experiment=lineer: no such choice",
    "encoder=tranformer": "no such choice, did you mean transformer? There are deep, linear, mlp, open_clip",
    "encoder.output_dim=0": "encoder.output_dim=0: input should be greater than 0",
    "nonsense": "Error parsing override 'nonsense'",
    "data.shared_dim=21": "data.shared_dim=21 must not exceed min(d_x, d_y) = 20",
}


@pytest.mark.slow
@pytest.mark.parametrize("override", WRONG)
@pytest.mark.parametrize("sweep", [[], ["--multirun", "seed=0,1"]])
def test_bad_input_is_one_line_exit_2_and_nothing_written(
    command_line, capsys, tmp_path, override, sweep
) -> None:
    assert command_line("train", *TINY, override, *sweep) == 2
    error = capsys.readouterr().err
    assert error.startswith("intrinsic-clip: ")
    assert error.count("\n") == 1
    assert WRONG[override] in error
    assert files_below(tmp_path) == []


ALONE = {
    "~trainer": "trainer: is missing; trainer=… sets it",
    "~data": "data: is missing",
    "~probes": "probes: is missing",
    "~seed": "Interpolation key 'seed' not found",
    "data=[]": "data: is missing",
    "--nonsense": "--nonsense: no such option",
    "experiment=3": "experiment=3: no such choice; choose from citeseq, citeseq_transformer, cosine, demo",
    "+foo=1": "foo: unknown key",
    "++a.b.c=1": "a: unknown key",
    "name=figures": "figures is the name of a file or folder",
    "seed=range(0,5,0)": "seed=range(0,5,0)",
    "encoder.width=a (b": "'encoder.width=\"a (b\"'",
    "trainer.accelerator=tpu": "trainer: ",
    "optimizer.lr=-1": "optimizer: Invalid learning rate",
    "data.n_train=1000000000000": "would take",
    "output_dir=/dev/null": "/dev/null: not a folder that can be written to",
}


@pytest.mark.parametrize("argument", ALONE)
def test_one_argument_that_cannot_be(command_line, capsys, tmp_path, argument) -> None:
    assert command_line("train", argument) == 2
    error = capsys.readouterr().err
    assert ALONE[argument] in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("argument", ["seed=range(0,5,0)", "seed=choice()", "seed=range(0,1000000000)"])
def test_sweeps_over_nothing_or_too_much(command_line, capsys, tmp_path, argument) -> None:
    assert command_line("train", "--multirun", argument) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_sweep_with_one_bad_run_starts_none(command_line, capsys, tmp_path) -> None:
    assert command_line("train", *TINY, "--multirun", "encoder.output_dim=4,0") == 2
    assert "encoder.output_dim=0" in capsys.readouterr().err
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("verb", ["train", "measure", "apply", "shared", "figures", "dashboard", "report"])
def test_a_name_that_is_not_text_is_named(command_line, capsys, tmp_path, verb) -> None:
    assert command_line(verb, "output_dir=caf\udce9") == 2
    error = capsys.readouterr().err
    assert error == "intrinsic-clip: output_dir=caf\\udce9: not UTF-8 text; rename the file or the folder\n"
    assert list(tmp_path.iterdir()) == []


def test_unknown_verb(command_line, capsys) -> None:
    assert command_line("trian") == 2
    verbs = "train, measure, apply, shared, figures, dashboard, report"
    assert capsys.readouterr().err == f"intrinsic-clip: trian: no such verb; choose from {verbs}\n"


def test_help_shows_groups_and_what_they_hold(command_line, capsys) -> None:
    assert command_line("--help") == 0
    assert "train paired encoders" in capsys.readouterr().out
    assert command_line("train", "--help") == 0
    shown = capsys.readouterr().out
    for word in (
        "data=",
        "encoder=",
        "objective/temperature=",
        "experiment=",
        "synthetic_nonlinear",
        "openclipart",
        "seed: 0",
    ):
        assert word in shown
    assert "@package" not in shown


def test_every_config_file_says_what_it_is_for() -> None:
    from intrinsic_clip.cli.help import _purpose
    from intrinsic_clip.config.folders import conf_folder

    for path in conf_folder().glob("**/*.yaml"):
        assert len(_purpose(path)) > 10


def test_a_folder_that_cannot_be_written(command_line, capsys, tmp_path) -> None:
    (tmp_path / "outputs").write_text("a file where a folder is wanted")
    assert command_line("train", *TINY) == 2
    error = capsys.readouterr().err
    assert "outputs" in error
    assert error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_one_line(command_line, capsys, tmp_path, monkeypatch) -> None:
    from intrinsic_clip.runs import results

    assert command_line("train", *TINY, "--cfg", "job") == 0
    capsys.readouterr()
    assert (
        command_line("train", *TINY) == 0
    )  # learn the folder, then begin again with a metrics file that is full
    folder = next(tmp_path.glob("outputs/*/*"))
    for path in folder.iterdir():
        path.unlink()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert command_line("train", *TINY) == 2
    error = capsys.readouterr().err
    assert "No space left on device" in error
    assert error.count("\n") == 1
    assert results.read_completed(folder) is None

    (folder / "metrics.csv").unlink(missing_ok=True)
    (folder / "metrics.csv").symlink_to("/dev/full")
    assert command_line("train", *TINY) == 2
    error = capsys.readouterr().err
    assert "metrics.csv: is no regular file" in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_module_and_console_script_are_the_same(tmp_path: Path) -> None:
    shown = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for command in (
            [sys.executable, "-m", "intrinsic_clip", "train", "--help"],
            [_script(), "train", "--help"],
        )
    ]
    assert shown[0] == shown[1]


def _script() -> str:
    return str(Path(sys.executable).with_name("intrinsic-clip"))


def test_a_working_folder_that_was_deleted_is_named(command_line, capsys, tmp_path, monkeypatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for arguments in (["train", "seed=1"], ["measure", "x=x.npy"], ["report", "."]):
        assert command_line(*arguments) == 2
        assert capsys.readouterr().err.startswith("intrinsic-clip: the working folder has been deleted;")


@pytest.mark.slow
def test_a_probe_of_the_program_warns_in_one_line(command_line) -> None:
    with pytest.warns(UserWarning, match="ClassificationProbe logs nothing") as caught:
        assert (
            command_line("train", *TINY, "probes=full", "probes.dimension=null", "trainer.max_epochs=1") == 0
        )
    own = [warning for warning in caught if "ClassificationProbe" in str(warning.message)]
    shown = program._format_warning(own[0].message, own[0].category, own[0].filename, own[0].lineno)
    assert shown == "intrinsic-clip: warning: ClassificationProbe logs nothing: these data have no labels\n"


@pytest.mark.parametrize("module", ["intrinsic_clip.config", "hydra", "intrinsic_clip.training.ranks"])
def test_ctrl_c_while_the_program_is_imported_is_one_line(module: str) -> None:
    """Half a second of imports has no verb yet that could say what was left behind."""
    interrupting = f"""
import sys
from importlib.abc import MetaPathFinder

class Interrupting(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt

from intrinsic_clip.cli.start import main
sys.meta_path.insert(0, Interrupting())
main()
"""
    ended = subprocess.run([sys.executable, "-c", interrupting], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "\nInterrupted; nothing was written.\n")
