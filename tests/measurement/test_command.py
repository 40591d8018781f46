"""`intrinsic-clip measure` as a user meets it: written once, read the second time, and one line for bad input."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.fake_wandb import history, records
from helpers.shared_latent import QUICK, measurement_below
from helpers.tiny_runs import files_below
from intrinsic_clip.measurement import command

pytestmark = pytest.mark.slow


@pytest.mark.pictures
def test_the_second_time_it_is_read_not_measured(command_line, capsys, monkeypatch, pair) -> None:
    command = ("measure", "x=x.npy", "y=y.npy", *QUICK)
    assert command_line(*command) == 0
    first = capsys.readouterr().out
    monkeypatch.setattr("intrinsic_clip.measurement.measurements.measure_embeddings", None)
    Path("x.npy").rename("the same, elsewhere (1).npy")  # a name that Hydra would not take unquoted
    assert command_line("measure", "x=the same, elsewhere (1).npy", *command[2:], "threads=2") == 0
    assert capsys.readouterr().out == f"Measured already, as x=x.npy of the same content.\n\n{first}"


WITHOUT_TORCH = """
import sys
from intrinsic_clip.cli import program

sys.argv = ["intrinsic-clip", "measure", *sys.argv[1:]]
program.main()
slow = {"torch", "matplotlib", "lightning", "pytorch_lightning", "wandb"} & set(sys.modules)
assert not slow, slow
"""


def test_a_finished_measurement_is_shown_without_pytorch(command_line, capfd, pair) -> None:
    arguments = ["x=x.npy", "y=y.npy", *QUICK]
    assert command_line("measure", *arguments) == 0
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *arguments], check=True)
    assert "Measured already." in capfd.readouterr().out


def test_other_contents_or_settings_are_another_measurement(command_line, tmp_path, pair) -> None:
    assert command_line("measure", "x=x.npy", *QUICK) == 0
    assert command_line("measure", "x=x.npy", *QUICK, "k=10") == 0
    np.save("x.npy", pair[0] + 1)
    assert command_line("measure", "x=x.npy", *QUICK) == 0
    assert len(list(tmp_path.glob("outputs/measure/*/measure.json"))) == 3


WRONG = {
    "": "nothing to measure: give x=FILE and perhaps y=FILE, or data=…, or run=FOLDER",
    "y=y.npy": "y: needs x=…, which is missing",
    "x=x.npy y_key=a": "y_key: needs y=…, which is missing",
    "x=x.npy encoder=open_clip": "encoder: needs data=…, which is missing",
    "x=x.npy data=openclipart": "x and data: give one of them, not 2",
    "x=x.npy run=outputs/demo/1": "x and run: give one of them, not 2",
    "x=nowhere.npy": "x=nowhere.npy: no such file or directory",
    "x=x.npy y=short.npy": "x has 600 rows, y has 599 rows; row i of each must belong together",
    "x=flat.npy": "x=flat.npy: holds shape (600,) where (rows, dimensions) is wanted",
    "x=few.npy": "20 rows are too few for k=20 neighbours; there must be at least 21",
    "x=two.npz": "x=two.npz: holds 2 arrays: a, b; x_key=… says which",
    "x=x.npy y=two.npz y_key=c": "y=two.npz: holds no 'c' (y_key); arrays: a, b",
    "x=x.npy x_key=a": "x=x.npy: x_key=a: .npy holds one array",
    "x=text.npy": "x=text.npy: not an .npy file",
    "x=x.pkl": "x=x.pkl: .pkl extension, which is not read",
    "x=x.npy k=1": "k: input should be greater than or equal to 2",
    "x=x.npy k=many": "k: input should be a valid integer",
    "x=x.npy max_point=5": "max_point: unknown key, did you mean max_points?",
    "x=x.npy trainer.max_epochs=5": "trainer.max_epochs: unknown key",
    "x=x.npy +widht=5": "widht: unknown key; the top level holds x, y, x_key",
    "x=x.npy nan=ignore": "nan: input should be 'refuse' or 'drop'",
    "x=x.npy estimators=[mle,tonn]": "estimators: there is no estimator tonn; choose from mle, twonn, gride",
    "x=x.npy estimators=[mle,mle]": "must name each estimator once",
    "x=x.npy estimators=[]": "estimators: ",
    "x=x.npy --multirun k=10,20": "--multirun: measure measures one thing at a time",
    "x=x.npy output_dir=x.npy": "x.npy: not a folder that can be written to",
    "run=nowhere": "run=nowhere: no such folder; give that of a finished training, such as outputs/",
    "data=openclipart data.images=true": "are not embeddings; encoder=open_clip embeds",
    "data=openclipart split=validation": "split: input should be 'all', 'train' or 'test'",
    "data=openclipart data.n_tset=5": "data.n_tset: unknown key, did you mean data.n_test?",
    "data=openclipart encoder=mlp": "encoder: mlp has no weights before it is trained",
    "data=openclipart encoder=open_clip encoder.model=ViT-B-33": "no such model, did you mean ViT-B-32?",
    "data=openclipart encoder=open_clip": "encoder.pretrained=: not given; it has 22 tags",
    "data=openclipart encoder=open_clip encoder.pretrained=x.pt": "no tag of ViT-B-32 and no file",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_bad_input_is_one_line_exit_2_and_nothing_written(
    command_line, capsys, tmp_path, pair, arguments
) -> None:
    np.save("short.npy", pair[1][1:])
    np.save("flat.npy", pair[0][:, 0])
    np.save("few.npy", pair[0][:20])
    np.savez("two.npz", a=pair[0], b=pair[0])
    Path("text.npy").write_text("0.1,0.2\n")
    Path("x.pkl").touch()
    before = files_below(tmp_path)
    assert command_line("measure", *arguments.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("intrinsic-clip: ")
    assert error.count("\n") == 1
    assert WRONG[arguments] in error
    assert files_below(tmp_path) == before


def test_ctrl_c_leaves_nothing(command_line, capsys, monkeypatch, tmp_path, pair) -> None:
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("intrinsic_clip.measurement.measurements.participation_ratio", interrupted)
    before = files_below(tmp_path)
    assert command_line("measure", "x=x.npy", *QUICK) == 130
    assert "Interrupted; nothing was written." in capsys.readouterr().err
    assert files_below(tmp_path) == before


def test_wandb_gets_the_same_numbers(command_line, tmp_path, pair) -> None:
    assert command_line("measure", "x=x.npy", "y=y.npy", *QUICK, "logger=wandb") == 0
    (folder,) = tmp_path.glob("outputs/measure/*")
    (written,) = folder.glob(f"wandb/offline-run-*/run-{folder.name}.wandb")
    rows = records(written)
    table = pd.read_csv(folder / "metrics.csv").set_index("metric")["value"]
    for name in ("id/mle/x", "retrieval/top_1/x_to_y", "modality_gap"):
        assert history(rows, name) == [table[name]]
    metrics = measurement_below(tmp_path)["metrics"]
    assert table.to_dict() == {name: value for name, value in metrics.items() if value is not None}


def test_help_shows_what_measure_takes_and_nothing_else(command_line, capsys) -> None:
    assert command_line("measure", "--help") == 0
    shown = capsys.readouterr().out
    for word in (
        "x=FILE",
        "data=\n",
        "openclipart",
        "encoder=\n",
        "open_clip ",
        "logger=\n",
        "max_points: 10000",
    ):
        assert word in shown
    for word in ("optimizer", "probes=", "experiment=", "launcher=", "mlp ", "multirun", "replicates"):
        assert word not in shown


@pytest.mark.parametrize("name", ["x.npy", "g.npy"])
def test_a_file_that_changes_while_it_is_measured_is_told(
    command_line, capsys, tmp_path, monkeypatch, name
) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 8))
    np.save("x.npy", rows)
    np.save("y.npy", rows)
    np.save("g.npy", np.arange(200) // 2)
    measured = command._load_and_measure

    def changing(inputs, settings):
        numbers = measured(inputs, settings)
        np.save(name, np.load(name)[::-1])
        return numbers

    monkeypatch.setattr(command, "_load_and_measure", changing)
    assert command_line("measure", "x=x.npy", "y=y.npy", "groups=g.npy", *QUICK) == 2
    assert "a file changed while it was measured, so nothing is written" in capsys.readouterr().err
    assert not list(tmp_path.glob("outputs/measure/*/*"))
