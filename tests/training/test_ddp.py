"""Two processes that share each batch train as one process with the whole batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.tiny_runs import TINY, files_below
from intrinsic_clip.training.train import train

pytestmark = pytest.mark.slow

TWO = ["trainer=ddp", "trainer.accelerator=cpu"]


@pytest.mark.long
def test_two_processes_equal_one(tmp_path, compose) -> None:
    """Compare blocks of logits; tests of the loss and of streams compare whole logits.

    Modules in the working folder do not take the place of installed ones, in either process.
    """
    for name in ("queue.py", "yaml.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')\n")
    blocks = ["objective.local_block=true", "objective.chunk=10", "trainer.max_epochs=3"]
    sweep = ["--multirun", "seed=1,0"]  # the second in the same process
    program = str(Path(sys.executable).with_name("intrinsic-clip"))
    done = subprocess.run(
        [program, "train", *TINY, *TWO, "output_dir=two", *blocks, *sweep],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "nonsense"},  # left by a notebook
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    runs = [json.loads(path.read_text()) for path in tmp_path.glob("two/custom/*/results.json")]
    two = next(run["metrics"] for run in runs if run["seed"] == 0)
    one = train(compose("trainer.max_epochs=3"))["metrics"]
    assert two.keys() == one.keys()
    for name in one:
        assert two[name]["mean"] == pytest.approx(one[name]["mean"], rel=1e-5, abs=1e-6), name


@pytest.mark.long
def test_two_processes_equal_one_with_other_objectives(tmp_path, compose) -> None:
    """Compare an objective that learns a bias, and one of columns of raw outputs."""
    program = str(Path(sys.executable).with_name("intrinsic-clip"))
    settings = ["objective/similarity=cosine", "trainer.max_epochs=3"]
    sweep = ["--multirun", "objective=sigmoid,vicreg"]
    done = subprocess.run(
        [program, "train", *TINY, *TWO, "output_dir=two", *settings, *sweep],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    runs = [json.loads(path.read_text()) for path in tmp_path.glob("two/custom/*/results.json")]
    for objective in ("sigmoid", "vicreg"):
        one = train(compose(f"objective={objective}", *settings))
        name = one["config"]["objective"]["_target_"]
        two = next(run["metrics"] for run in runs if run["config"]["objective"]["_target_"] == name)
        assert two.keys() == one["metrics"].keys()
        for metric, summary in one["metrics"].items():
            if summary["mean"] is not None:
                assert two[metric]["mean"] == pytest.approx(summary["mean"], rel=1e-4, abs=1e-5), metric


def test_a_batch_that_cannot_be_shared(tmp_path, command_line, capsys) -> None:
    assert command_line("train", *TINY, *TWO, "data.batch_size=65") == 2
    assert capsys.readouterr().err.endswith(
        "data.batch_size=65: must be a multiple of the 2 processes (trainer.devices)\n"
    )
    assert files_below(tmp_path) == []
