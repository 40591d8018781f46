"""A command that names the folder of a run says in one line why there is no finished one."""

from pathlib import Path

import pytest

from intrinsic_clip.errors import ConfigError, Unfinished
from intrinsic_clip.runs.run import Run
from intrinsic_clip.runs.run_folder import run_digest

WANTED = "; give that of a finished training, such as outputs/demo/0123456789ab"
FOLDERS = {
    "nofolder": f"run=nofolder: no such folder{WANTED}",
    "a_file": f"run=a_file: is a file, not a folder{WANTED}",
    "empty": f"run=empty: holds no run{WANTED}",
    "begun": f"run=begun: not a finished run (unfinished){WANTED}",
    "failed": f"run=failed: not a finished run (failed (no memory)){WANTED}",
    "damaged": "run=damaged: not a finished run (results.json is damaged",
    "several": "run=several: a folder of 2 runs; give one of them, such as several/one",
    "x" * 300: f"run={'x' * 300}: no such folder{WANTED}",
}


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the folders in the working directory."""
    monkeypatch.chdir(tmp_path)
    files = {
        "a_file": "", "begun/config.yaml": "seed: 0", "failed/config.yaml": "", "failed/failed.txt": "no memory",
        "damaged/config.yaml": "", "damaged/results.json": "{", "several/one/results.json": "{}",
        "several/two/results.json": "{}",
    }  # fmt: skip
    Path("empty").mkdir()
    for name, text in files.items():
        path = Path(name)
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_no_finished_run_is_one_line(folder: str) -> None:
    with pytest.raises(ConfigError) as error:
        run_digest(folder)
    assert str(error.value).startswith(FOLDERS[folder])


@pytest.mark.parametrize("verb", ["shared", "measure"])
@pytest.mark.parametrize("folder", ["nofolder", "a_file", "empty", "begun", "several"])
def test_verbs_say_it(command_line, capsys, verb: str, folder: str) -> None:
    assert command_line(verb, f"run={folder}") == 2
    assert capsys.readouterr().err == f"intrinsic-clip: {FOLDERS[folder]}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "a_file"], "a_file: is a file; give a folder of runs"),
        (["report", "begun"], "begun: no finished run in it; begun is left out: unfinished"),
        (
            ["figures", "output_dir=a_file"],
            "output_dir=a_file: is a file; give the folder that runs were written to",
        ),
    ],
)
def test_other_verbs_name_a_file_and_an_unfinished_run(command_line, capsys, arguments, message) -> None:
    assert command_line(*arguments) == 2
    assert capsys.readouterr().err == f"intrinsic-clip: {message}\n"


@pytest.mark.parametrize(
    ("folder", "reason"), [("nofolder", "no such folder"), ("a_file", "is a file, not a folder")]
)
def test_loading_a_run_says_that_there_is_no_folder(folder: str, reason: str) -> None:
    with pytest.raises(Unfinished, match=reason):
        Run.load(folder)
