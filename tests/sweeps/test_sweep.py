"""A sweep repeats nothing, survives failures and kills, and reports the outcome of each run."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import hydra
import pandas as pd
import pytest
from hydra._internal.hydra import Hydra
from hydra.types import RunMode

from helpers.tiny_runs import TINY, files_below, struck
from intrinsic_clip import config
from intrinsic_clip.runs import addresses, results, tidy_table
from intrinsic_clip.runs.locks import held
from intrinsic_clip.sweeps.compose import Composer
from intrinsic_clip.training import composed
from soak.crash_points import Observer
from soak.scenarios import RUN, sweeping
from soak.warm_children import child, warm_up

pytestmark = pytest.mark.slow

SIX = ["--multirun", "encoder.output_dim=3,6", "seed=0,1,2"]
TWO = ["--multirun", "seed=0,1"]
SMALL = ["size=smoke", "replicates=null", "logger=csv", "progress=false", "threads=1", "probes=default"]
BOMB = """
import os, signal
from pytorch_lightning import Callback

class Bomb(Callback):
    latest, reasons = {}, {}

    def __init__(self, seed: int) -> None:
        self.armed = seed == 1

    def on_train_start(self, *_) -> None:
        if self.armed:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def _table(folder: Path) -> pd.DataFrame:
    """Return the table of `collect` without the columns that may differ between two sweeps."""
    table = tidy_table.collect(folder).drop(columns=["output_dir", "progress", "threads"])
    table["run"] = [Path(run).name for run in table["run"]]
    return table.sort_values(["run", "metric", "replicate"], ignore_index=True)


def _metrics_files(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in folder.glob("*/*/metrics.csv")}


@pytest.mark.long
def test_killed_twice_it_ends_as_if_undisturbed(tmp_path) -> None:
    """Kill a sweep in its first run, and then in a later one; `make soak` does it hundreds of times."""
    warm_up()
    short = [*RUN, "--multirun", "encoder.output_dim=3,6", "seed=0"]

    def killed(operation: int) -> None:
        Observer(tmp_path, operation).start()
        sweeping(*short)()

    assert child(tmp_path, lambda: killed(20)).code == -signal.SIGKILL
    assert len(list(tmp_path.glob("outputs/custom/*"))) == 1
    assert child(tmp_path, lambda: killed(60)).code == -signal.SIGKILL
    assert len(list(tmp_path.glob("outputs/custom/*"))) == 2
    ended = child(tmp_path, sweeping(*short))
    assert "2 runs: 1 finished, 1 to resume, 0 to begin" in ended.out
    assert "2 runs: 1 resumed, 1 skipped" in ended.out
    assert child(tmp_path, sweeping(*short, "output_dir=undisturbed")).code == 0
    pd.testing.assert_frame_equal(
        _table(tmp_path / "outputs"), _table(tmp_path / "undisturbed"), check_exact=True
    )
    files = _metrics_files(tmp_path / "outputs")
    assert len(files) == 2
    assert files == _metrics_files(tmp_path / "undisturbed")


def test_a_failing_run_ends_no_other_and_is_tried_again(tmp_path, command_line, capsys, monkeypatch) -> None:
    whole = composed.train

    def flawed(cfg):
        if cfg.seed == 1:
            raise RuntimeError("a bug")
        return whole(cfg)

    monkeypatch.setattr(composed, "train", flawed)
    assert command_line("train", *TINY, "--multirun", "seed=0,1,2") == 1
    said = capsys.readouterr()
    assert "3 runs: 2 done, 1 failed" in said.out
    assert re.search(r"\n  failed +seed=1 +RuntimeError: a bug +outputs/custom/\w{12}\n", said.out)
    assert "Traceback" in said.err
    failed = next(tmp_path.glob("outputs/custom/*/failed.txt"))
    assert failed.read_text() == "RuntimeError: a bug\n"

    monkeypatch.setattr(composed, "train", whole)
    assert command_line("train", *TINY, "--multirun", "seed=0,1,2") == 0
    assert "3 runs: 1 done, 2 skipped" in capsys.readouterr().out
    assert not failed.exists()


@pytest.mark.long
def test_what_the_user_can_mend_has_no_traceback_and_what_was_begun_is_resumed(
    tmp_path, command_line, capsys
) -> None:
    assert command_line("train", *TINY, *TWO) == 0
    damaged, begun = (path.parent for path in sorted(tmp_path.glob("outputs/custom/*/results.json")))
    for folder in (damaged, begun):
        (folder / "results.json").unlink()
    (damaged / "last.ckpt").write_bytes(b"not a checkpoint")
    capsys.readouterr()
    assert command_line("train", *TINY, *TWO) == 1
    said = capsys.readouterr()
    assert "2 runs: 1 resumed, 1 failed" in said.out
    assert "last.ckpt: damaged" in said.out
    assert "Traceback" not in said.err


def test_a_run_that_another_process_trains_is_left_alone(tmp_path, command_line, capsys) -> None:
    with hydra.initialize_config_dir(str(config.conf_folder()), version_base="1.3"):
        folder = addresses.run_folder(config.resolve(hydra.compose("train", [*TINY, "seed=1"])))
    with held(folder):
        assert command_line("train", *TINY, *TWO) == 1
    said = capsys.readouterr().out
    assert "2 runs: 1 done, 1 failed" in said
    assert f"{folder}: process {os.getpid()} on " in said
    assert files_below(folder) == []


def test_ctrl_c_says_what_was_reached(tmp_path) -> None:
    ended = struck(tmp_path, 20, signal.SIGINT, *TINY, *SIX)
    assert ended.code == 130, ended.err
    assert "\nTraining" in ended.out
    assert "6 runs: 1 interrupted, 5 not started" in ended.out
    assert "Interrupted; the same command resumes" in ended.err
    assert "Traceback" not in ended.out + ended.err


@pytest.mark.long
def test_finished_runs_cost_milliseconds_and_no_pytorch(tmp_path, command_line) -> None:
    assert command_line("train", *TINY, "--multirun", "seed=0,1,1,0") == 0
    program = (
        "import sys; from intrinsic_clip.cli.program import main; "
        f"sys.argv = ['intrinsic-clip', 'train', *{[*TINY, *TWO]!r}]; main(); print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.endswith("2 runs: 2 skipped\nFalse\n")


def test_of_many_runs_only_the_failed_have_a_line(tmp_path, compose) -> None:
    from intrinsic_clip.sweeps.sweep_run import SweepRun
    from intrinsic_clip.sweeps.table import report

    runs = [SweepRun([f"seed={seed}"], tmp_path / str(seed)) for seed in range(50)]
    for run in runs[1:]:
        run.folder.mkdir()
        results.write_results(run.folder, {"status": "completed", "metrics": {"temperature": {"mean": None}}})
    table, failed = report(runs)
    assert failed
    assert table.splitlines()[1].split() == [
        "failed", "seed=0", "its", "process", "ended", "without", "an", "error", "message", "(killed?)",
        str(tmp_path / "0"),
    ]  # fmt: skip
    assert table.splitlines()[2:] == ["50 runs: 49 done, 1 failed"]


def test_skipped_runs_of_other_code_are_counted(tmp_path, monkeypatch) -> None:
    from intrinsic_clip.runs import versions
    from intrinsic_clip.sweeps.sweep_run import SweepRun
    from intrinsic_clip.sweeps.table import report

    monkeypatch.setattr(versions, "_commit", lambda: "b" * 40)
    for seed, commit in enumerate("aab"):
        folder = tmp_path / str(seed)
        folder.mkdir()
        made = {"versions": {"commit": commit * 40}, "metrics": {"temperature": {"mean": None}}}
        results.write_results(folder, {"status": "completed", **made})
    runs = [SweepRun([f"seed={seed}"], tmp_path / str(seed)) for seed in range(3)]
    assert report(runs)[0].splitlines()[-2:] == [
        "  skipped, made with the code of commit aaaaaaa, now it is bbbbbbb: 2 runs",
        "3 runs: 3 skipped",
    ]


def test_a_run_of_several_output_dimensions_has_the_numbers_of_the_last(tmp_path) -> None:
    from intrinsic_clip.sweeps.sweep_run import SweepRun
    from intrinsic_clip.sweeps.table import report

    runs = [SweepRun([f"seed={seed}"], tmp_path / str(seed)) for seed in range(2)]
    for run, mean in zip(runs, (0.25, [0.125, 0.0625]), strict=True):
        run.folder.mkdir()
        results.write_results(run.folder, {"status": "completed", "metrics": {"temperature": {"mean": mean}}})
    lines = [line.split() for line in report(runs)[0].splitlines()]
    assert [line[-2] for line in lines[1:3]] == ["0.25", "0.0625"]
    assert " ".join(lines[3]) == "of a run with several output dimensions, the numbers at the last"


OVERRIDES = [
    ["seed=3", "encoder=linear", "+optimizer.betas=[0.8,0.9]"],
    ["encoder.output_dim=9", "~probes.similarity", "data.noise=1e-3"],
    ["experiment=synthetic_nonlinear", "data.n_train=300", "objective/temperature=fixed", "name='a b'"],
    ["data={n_train:99,n_test:9}", "trainer=gpu", "probes.matching.ks=[1,2]"],
]


def test_configs_are_those_that_hydra_composes() -> None:
    with hydra.initialize_config_dir(str(config.conf_folder()), version_base="1.3"):
        loader = hydra.core.global_hydra.GlobalHydra.instance().config_loader()
        master = Hydra(task_name="train", config_loader=loader).compose_config(
            "train", ["seed=5", "hydra.verbose=true"], RunMode.MULTIRUN
        )
        compose = Composer(loader, master)
        for overrides in [*OVERRIDES, *OVERRIDES]:
            assert compose(overrides) == hydra.compose("train", overrides)


@pytest.mark.long
def test_experiments_that_sweep_by_themselves_beside_others(tmp_path, command_line) -> None:
    def planned(*arguments: str) -> set[str]:
        assert command_line("train", *SMALL, *arguments) == 0
        return {path.parent.name for path in tmp_path.glob("outputs/*/*/results.json")}

    alone = planned("experiment=cosine") | planned("experiment=fixed_temperature")
    kinds = tidy_table.collect(tmp_path / "outputs")
    assert set(kinds["objective.similarity._target_"].str.split(".").str[-1]) == {
        "CosineSimilarity",
        "PopulationSimilarity",
    }
    assert sorted(kinds["objective.temperature.tau"].dropna().unique()) == [0.01, 0.03, 0.1, 0.3, 1.0]
    assert planned("--multirun", "experiment=cosine,fixed_temperature") == alone
    assert len(planned("experiment=fixed_temperature", "objective.temperature.tau=0.5")) == len(alone) + 1


@pytest.mark.long
@pytest.mark.parametrize(  # the run with seed 1 kills its process; Ray would try it three times more
    ("launcher", "seeds"), [("joblib", "0,1"), ("submitit_local", "0,1"), ("ray", "0,2")]
)
def test_launchers_do_the_same_work_and_survive_a_killed_worker(
    tmp_path, command_line, capsys, monkeypatch, launcher, seeds
) -> None:
    (tmp_path / "bomb.py").write_text(BOMB)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("submitit.core.core.Job._results_timeout_s", 1)  # how long it waits for slow disks
    bomb = ["+probes.bomb._target_=bomb.Bomb", "+probes.bomb.seed=${seed}", "--multirun"]
    assert command_line("train", *TINY, *bomb, f"seed={seeds.replace(',1', '')}") == 0
    parallel = [f"launcher={launcher}", "output_dir=parallel"]
    killed = "1" in seeds
    assert command_line("train", *TINY, *bomb, f"seed={seeds}", *parallel) == killed
    said = capsys.readouterr()
    if killed:
        assert re.search(r"\n\d runs: \d done, 1 failed\n", said.out)
        assert re.search(r"\n  failed +seed=1 +.*ended without an error message \(killed\?\)", said.out)
        assert "Traceback" not in said.err
        shutil.rmtree(next(tmp_path.glob("parallel/custom/*/lock")).parent)
    pd.testing.assert_frame_equal(
        _table(tmp_path / "outputs"), _table(tmp_path / "parallel"), check_exact=True
    )
    assert _metrics_files(tmp_path / "outputs") == _metrics_files(tmp_path / "parallel")
    assert {path.name for path in tmp_path.iterdir()} <= {"outputs", "parallel", "bomb.py", "__pycache__"}
    assert {path.name for path in (tmp_path / "parallel").iterdir()} <= {"custom", ".submitit"}


def test_a_launcher_that_is_not_installed(command_line, capsys, tmp_path) -> None:
    assert command_line("train", *TINY, *TWO, "hydra/launcher=submitit_absent") == 2
    expected = "submitit_absent: not installed; pip install hydra-submitit-launcher brings it"
    assert capsys.readouterr().err == f"intrinsic-clip: {expected}\n"
    assert files_below(tmp_path) == []


def test_swept_choices_may_have_settings_that_the_default_choice_lacks(command_line, capsys) -> None:
    choices = ["objective=triplet,triplet", "objective.margin=0.25"]
    assert command_line("train", *TINY, "--multirun", *choices) == 0
    assert "1 run: 1 done" in capsys.readouterr().out
    assert command_line("train", *TINY, "objective=triplet", "objective.margin=0.25") == 0  # the same run
    assert "Done already" in capsys.readouterr().out
