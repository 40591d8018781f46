"""Two processes that share each batch train as one process with the whole batch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.tiny_runs import TINY, files_below
from intrinsic_clip.training.train import train

pytestmark = pytest.mark.slow

TWO = ["trainer=ddp", "trainer.accelerator=cpu"]


def _run(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "intrinsic_clip", "train", *TINY, *TWO, *overrides]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)


def test_two_processes_equal_one(tmp_path, compose) -> None:
    """Compare blocks of logits; tests of the loss and of streams compare whole logits."""
    blocks = ["loss.local_block=true", "loss.chunk=10"]
    sweep = ["--multirun", "seed=1,0"]  # the second in the same process
    done = _run(tmp_path, "output_dir=two", *blocks, *sweep)
    assert done.returncode == 0, done.stderr
    runs = [json.loads(path.read_text()) for path in tmp_path.glob("two/custom/*/results.json")]
    two = next(run["metrics"] for run in runs if run["seed"] == 0)
    one = train(compose())["metrics"]
    assert two.keys() == one.keys()
    for name in one:
        assert two[name]["mean"] == pytest.approx(one[name]["mean"], rel=1e-5, abs=1e-6), name


def test_a_batch_that_cannot_be_shared(tmp_path) -> None:
    done = _run(tmp_path, "data.batch_size=65")
    assert done.returncode == 2
    assert done.stderr.endswith(
        "data.batch_size=65: must be a multiple of the 2 processes (trainer.devices)\n"
    )
    assert files_below(tmp_path) == []
