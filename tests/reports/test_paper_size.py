"""Tables of finished trainings give the figures and claims that the runs themselves give."""

import importlib.util
import sys
from pathlib import Path

import pytest

from intrinsic_clip.cli import program
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.paper_figures import synthetic_nonlinear
from intrinsic_clip.paper_figures.finished_runs import read_runs

SCRIPT = Path(__file__).parents[2] / "docs" / "paper_size.py"
_spec = importlib.util.spec_from_file_location("paper_size", SCRIPT)
paper_size = sys.modules["paper_size"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(paper_size)
EXPERIMENT, SIZE = "synthetic_nonlinear", "smoke"


def train(folder: Path, monkeypatch: pytest.MonkeyPatch, *settings: str) -> None:
    quiet = ["logger=csv", "progress=false", "threads=1", f"output_dir={folder}"]
    command = ["intrinsic-clip", "train", f"experiment={EXPERIMENT}", f"size={SIZE}", *quiet, *settings]
    monkeypatch.setattr("sys.argv", command)
    program.main()


@pytest.mark.slow
def test_a_table_gives_what_the_runs_give(tmp_path, monkeypatch, capsys) -> None:
    both, first, second = (tmp_path / name for name in ("both", "first", "second"))
    for folder, replicates in ((first, "[0,1]"), (second, "[1,3]")):
        train(folder, monkeypatch, f"replicates={replicates}")
        train(both, monkeypatch, f"replicates={replicates}")
    tables = [paper_size.finished(folder, EXPERIMENT, SIZE) for folder in (first, second)]
    for table, path in zip(tables, (tmp_path / "1.csv", tmp_path / "2.csv"), strict=True):
        paper_size.write(table, path)
    table = paper_size.merged(paper_size.read(tmp_path / "1.csv"), paper_size.read(tmp_path / "2.csv"))
    assert sorted(zip(table["replicate"], table["encoder.output_dim"], strict=True)) == [
        (replicate, d) for replicate in (0, 1, 3) for d in (1, 4, 7)
    ]
    capsys.readouterr()
    expected = synthetic_nonlinear.claims(read_runs(both, [EXPERIMENT])[SIZE])
    assert paper_size.draw(EXPERIMENT, table, tmp_path, SIZE) == expected
    assert (tmp_path / f"{EXPERIMENT}.png").stat().st_size > 10_000
    assert "over 3 repetitions so far, of 50, 512 training pairs; commit" in capsys.readouterr().out


@pytest.mark.slow
def test_trainings_with_other_settings_are_refused(tmp_path, monkeypatch) -> None:
    train(tmp_path, monkeypatch, "trainer.max_epochs=1", "replicates=1")
    with pytest.raises(ConfigError, match=r"synthetic_nonlinear was trained with trainer.max_epochs=1"):
        paper_size.finished(tmp_path, EXPERIMENT, SIZE)


@pytest.mark.slow
def test_trainings_of_other_seeds_are_left_out_and_named(tmp_path, monkeypatch, capsys) -> None:
    train(tmp_path, monkeypatch, "seed=1", "replicates=1")
    (other,) = (tmp_path / EXPERIMENT).iterdir()
    capsys.readouterr()
    assert paper_size.finished(tmp_path, EXPERIMENT, SIZE).empty
    assert capsys.readouterr().err == (
        f"{other} (seed=1, data.seed=1) left out: the tables hold trainings of seed=0 and data.seed=0 alone\n"
    )
    train(tmp_path, monkeypatch, "data.seed=2", "replicates=1")
    train(tmp_path, monkeypatch, "replicates=[0,1]")
    capsys.readouterr()
    table = paper_size.finished(tmp_path, EXPERIMENT, SIZE)
    assert table["replicate"].tolist() == [0, 0, 0, 1, 1, 1]
    said = capsys.readouterr().err
    assert "(seed=1, data.seed=1)" in said
    assert "(seed=0, data.seed=2)" in said
    assert said.count("\n") == 1


def test_a_folder_without_such_runs_adds_nothing(tmp_path) -> None:
    assert paper_size.finished(tmp_path, EXPERIMENT).empty
