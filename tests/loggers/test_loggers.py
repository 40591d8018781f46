"""MetricsFile can be cut back, and W&B never stops a training."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from helpers.between_epochs import killed_between_epochs
from helpers.fake_wandb import UPLOADS, closed_port, history, records, serving
from helpers.tiny_runs import TINY
from intrinsic_clip.config.resolve import resolve
from intrinsic_clip.loggers.metrics_file import MetricsFile
from intrinsic_clip.loggers.wandb_logger import WandbLogger
from intrinsic_clip.runs.results import read_metrics
from intrinsic_clip.training.checkpoints import ResumePoint
from intrinsic_clip.training.train import train

pytestmark = pytest.mark.slow


def test_metrics_file_is_appended_and_cut_back(tmp_path) -> None:
    first = MetricsFile(str(tmp_path))
    first.log_metrics({"loss": 1.5, "epoch": 0}, step=1)
    size = first.flush()
    first.log_metrics({"loss": 0.1 + 0.2, "epoch": 1}, step=2)
    first.save()
    again = MetricsFile(str(tmp_path))
    again.truncate(size)
    again.log_metrics({"loss": 0.25, "temperature": 1e-4, "epoch": 1}, step=2)
    again.finalize("success")
    table = read_metrics(tmp_path)
    assert table.value.tolist() == [1.5, 0.25, 1e-4]
    assert table.step.tolist() == [1, 2, 2]
    assert table.epoch.tolist() == [0, 1, 1]


def test_metrics_file_keeps_every_digit(tmp_path) -> None:
    metrics_file = MetricsFile(str(tmp_path))
    metrics_file.log_metrics({"loss": 0.1 + 0.2, "epoch": 0}, step=1)
    metrics_file.save()
    assert float((tmp_path / "metrics.csv").read_text().split(",")[-1]) == 0.1 + 0.2


@pytest.mark.long
@pytest.mark.parametrize("broken", ["init", "Run.log"])
def test_a_wandb_failure_is_a_warning(tmp_path, compose, monkeypatch, broken) -> None:
    import wandb

    def fail(*args, **kwargs):
        raise wandb.errors.CommError("the service is gone")

    monkeypatch.setattr("wandb." + ("init" if broken == "init" else "sdk.wandb_run.Run.log"), fail)
    with pytest.warns(
        UserWarning, match="W&B failed and is off for the rest of this run: the service is gone"
    ):
        returned = train(compose("logger=both"))
    written = json.loads(next(tmp_path.glob("outputs/custom/*/results.json")).read_text())
    assert (
        written["metrics"]
        == returned["metrics"]
        == train(compose("logger=csv", "output_dir=other"))["metrics"]
    )


def test_wandb_files_hold_the_run_under_its_hash(tmp_path, compose) -> None:
    train(compose("logger=both"))
    folder = next(tmp_path.glob("outputs/custom/*"))
    files = list(folder.glob("wandb/offline-run-*/run-*.wandb"))
    assert [path.name for path in files] == [f"run-{folder.name}.wandb"]
    written = str(records(files[0]))
    for name in ("id/mle/x", "temperature", "similarity/histogram_positive", "matching/top_1/x_to_y"):
        assert name in written


def test_the_last_step_is_in_wandb_however_short_the_training(tmp_path, compose) -> None:
    train(compose("logger=both", "logger.wandb.every_n_steps=1000"))
    (written,) = tmp_path.glob("outputs/custom/*/wandb/offline-run-*/run-*.wandb")
    folder = next(tmp_path.glob("outputs/custom/*"))
    last = read_metrics(folder).query("metric == 'temperature'").value.iloc[-1]
    assert history(records(written), "temperature") == [last]


def test_tensorboard_shows_each_step_of_a_resumed_run_once(tmp_path, compose, monkeypatch) -> None:
    """Epochs 3 and 4 are trained twice, since the checkpoint is of epoch 2."""
    tensorboard = "{_target_:pytorch_lightning.loggers.TensorBoardLogger,save_dir:board,version:one}"
    settings = [f"+logger.tensorboard={tensorboard}"]
    due = iter([False, True, False, False])
    monkeypatch.setattr(ResumePoint, "_is_time", lambda self: next(due, True))
    with killed_between_epochs(4), pytest.raises(KeyboardInterrupt):
        train(compose(*settings))
    train(compose(*settings))
    events = EventAccumulator(str(next(tmp_path.glob("board/**/one"))))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 49))
    assert [event.step for event in events.Scalars("id/mle/x")] == [0, 16, 32, 48]


def test_a_temperature_of_every_tenth_step_is_in_the_file_of_many_replicates(tmp_path, compose) -> None:
    """Of seven trainings side by side the file had every 70th step."""
    length = ["trainer.max_epochs=90", "probes.every_n_epochs=90"]  # 720 steps
    train(compose("replicates=7", "probes.temperature.every_n_steps=10", *length))
    table = read_metrics(next(tmp_path.glob("outputs/custom/*")))
    for name in ("temperature", "loss"):
        steps = table.query(f"metric == '{name}' and replicate == 6").step
        assert steps.tolist() == list(range(10, 721, 10))


@pytest.mark.parametrize(("former", "mode"), [("dryrun", "offline"), ("run", "online")])
def test_former_names_of_modes_are_known(tmp_path, former, mode) -> None:
    assert WandbLogger(str(tmp_path), mode=former)._wandb_init["mode"] == mode


def test_a_run_leaves_the_environment_to_the_next(compose, monkeypatch) -> None:
    monkeypatch.delenv("WANDB_MODE")
    train(compose("logger=both", "trainer.max_epochs=1"))
    assert "WANDB_MODE" not in os.environ


def test_wandbs_own_variables_set_mode_project_and_entity(compose, monkeypatch) -> None:
    monkeypatch.delenv("WANDB_MODE")
    usual = resolve(compose("logger=both"))["logger"]["wandb"]
    assert (usual["mode"], usual["project"], usual["entity"]) == ("offline", "intrinsic-clip", None)
    for name, value in {"MODE": "disabled", "PROJECT": "mine", "ENTITY": "us"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    chosen = resolve(compose("logger=both", "logger.wandb.project=given"))["logger"]["wandb"]
    assert (chosen["mode"], chosen["project"], chosen["entity"]) == ("disabled", "given", "us")


ONLINE = ["logger=both", "logger.wandb.mode=online", "logger.wandb.every_n_steps=1", "logger.wandb.timeout=3"]


def _check_whole(folder: Path, run: str) -> list[dict[str, Any]]:
    """Check that results.json is there and that W&B's file has each temperature of metrics.csv; return its records."""
    assert json.loads((folder / "results.json").read_text())["status"] == "completed"
    (written,) = folder.glob(f"wandb/{run}")
    logged = records(written)
    table = read_metrics(folder)
    assert history(logged, "temperature") == table[table.metric == "temperature"].value.tolist()
    return logged


@pytest.mark.parametrize("failure", ["no network", "wrong key"])
def test_a_run_that_cannot_begin_online_is_logged_offline(
    tmp_path, command_line, wandb_at, recwarn, failure
) -> None:
    with serving("wrong key") as service:
        wandb_at(service.url if failure == "wrong key" else f"http://127.0.0.1:{closed_port()}")
        assert command_line("train", *TINY, *ONLINE) == 0
    (warned,) = [str(warning.message) for warning in recwarn if "W&B" in str(warning.message)]
    assert "is logged offline" in warned
    assert ("the key is wrong" if failure == "wrong key" else "refused") in warned
    _check_whole(next(tmp_path.glob("outputs/custom/*")), "offline-run-*")


@pytest.mark.parametrize("failure", ["500", "403", "hang up"])
def test_the_service_may_fail_while_a_run_trains(tmp_path, command_line, wandb_at, capfd, failure) -> None:
    with serving(failure) as service:
        wandb_at(service.url)
        started = time.monotonic()
        assert command_line("train", *TINY, *ONLINE) == 0
        assert time.monotonic() - started < 60
    assert any(path.endswith(UPLOADS) for path in service.received)
    assert capfd.readouterr().err.count("wandb sync") == 1
    _check_whole(next(tmp_path.glob("outputs/custom/*")), "run-*")


@pytest.mark.long
def test_what_the_service_missed_is_uploaded_by_wandb_sync(tmp_path, command_line, wandb_at) -> None:
    with serving("403") as service:
        wandb_at(service.url)
        assert command_line("train", *TINY, *ONLINE) == 0
        assert service.uploaded == []
        service.failure = None
        (run,) = tmp_path.glob("outputs/custom/*/wandb/run-*")
        subprocess.run([sys.executable, "-m", "wandb", "sync", "--include-online", str(run)], check=True)
    trained = [row["temperature"] for row in service.uploaded if "temperature" in row]
    assert trained == history(records(run), "temperature")
