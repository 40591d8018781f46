"""The metrics file survives cuts, and W&B never stops a training."""

import json

import pytest

from intrinsic_clip.loggers import MetricsFile
from intrinsic_clip.results import read_metrics
from intrinsic_clip.train import train


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
    content = files[0].read_bytes()
    for name in (b"id/mle/x", b"temperature", b"similarity/histogram_positive", b"matching/top_1/x_to_y"):
        assert name in content
