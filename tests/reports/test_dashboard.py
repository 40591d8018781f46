"""The dashboard shows what runs log, and says in one line why it cannot be made."""

import json
import re

import pytest
import torch

from helpers.fake_wandb import closed_port, records, serving
from helpers.tiny_runs import TINY
from intrinsic_clip.data import SyntheticThree
from intrinsic_clip.loggers.replicated import by_output_dim
from intrinsic_clip.reports import dashboard
from intrinsic_clip.runs.replicates import Replicates

SECTIONS = ["dimension", "temperature", "matching", "similarities", "spectra"]


def _panels(view: dict) -> dict[str, list[dict]]:
    """The configs of the panels by section."""
    return {
        section["name"]: [panel["config"] for panel in section["panels"]]
        for section in view["spec"]["section"]["panelBankConfig"]["sections"]
    }


@pytest.mark.long
def test_every_chart_shows_what_a_full_run_logs(tmp_path, command_line, capsys) -> None:
    overrides = ["probes=full", "logger=both", "trainer.max_epochs=2", "data.n_test=120"]
    assert command_line("train", *TINY, *overrides) == 0
    (run,) = tmp_path.glob("outputs/custom/*/wandb/offline-run-*")
    logged = {
        re.sub(r"\.(_type|bins|values)$", "", key)  # the parts of a histogram
        for record in records(run)
        if record["type"] == "history"
        for key in record["history"]["item"]
    }
    capsys.readouterr()
    assert command_line("dashboard", "--dry-run", "project=mine") == 0
    assert capsys.readouterr().out == "Dashboard: dashboard.json\n"
    view = json.loads((tmp_path / "dashboard.json").read_text())
    assert view["project"] == "mine"
    panels = _panels(view)
    assert list(panels) == SECTIONS
    shown = [metric for section in panels.values() for config in section for metric in config["metrics"]]
    assert {
        metric for metric in shown if not metric.startswith("retrieval/")
    } <= logged  # by cosine: not asked for
    assert len(set(shown)) == len(shown)
    probed = {key for key in logged if key.split("/")[0] in ("id", "matching", "similarity", "spectrum")}
    assert probed <= set(shown)


@pytest.mark.slow
def test_charts_show_the_mean_and_spread_of_groups_over_epochs(tmp_path, command_line) -> None:
    assert command_line("dashboard", "--dry-run", "file=there.json") == 0
    view = json.loads((tmp_path / "there.json").read_text())
    (runs,) = view["spec"]["section"]["runSets"]
    assert runs["grouping"] == [{"section": "run", "name": "group"}]
    charts = [config for section in _panels(view).values() for config in section]
    lines = [config for config in charts if "histogram" not in config["metrics"][0]]
    for config in lines:
        drawn = (config["xAxis"], config["groupBy"], config["groupAgg"], config["groupArea"])
        assert drawn == ("epoch", "group", "mean", "stddev")
    logarithmic = [config["metrics"][0] for config in lines if config.get("yLogScale")]
    assert logarithmic == ["temperature", "matching/median_rank/x_to_y"]


def test_output_dimensions_of_one_run_have_a_line_each(tmp_path, command_line) -> None:
    assert command_line("dashboard", "--dry-run", "output_dims=[4,19]") == 0
    charts = _panels(json.loads((tmp_path / "dashboard.json").read_text()))
    logged = by_output_dim("temperature", torch.zeros(2, 1), Replicates((0,), (4, 19)))
    assert charts["temperature"][0]["metrics"] == [name for name, _ in logged]


def test_charts_of_three_modalities_have_each_of_them_and_each_pair(tmp_path, command_line) -> None:
    assert command_line("dashboard", "--dry-run", "modalities=3") == 0
    charts = _panels(json.loads((tmp_path / "dashboard.json").read_text()))
    assert charts["dimension"][0]["metrics"] == [f"id/mle/{side}" for side in "xyz"]
    shown = {metric for section in charts.values() for config in section for metric in config["metrics"]}
    for metric in (
        "retrieval/top_1/x_to_z",
        "matching/median_rank/z_to_y",
        "modality_gap/y_z",
        "similarity/random/x_z",
        "spectrum/effective_rank/z",
        "spectrum/histogram_log10_share/z",
    ):
        assert metric in shown
    assert [config["metrics"] for config in charts["temperature"][:2]] == [["temperature"], ["loss"]]


@pytest.mark.parametrize("modalities", [2, 3, 4])
def test_recovery_is_charted_under_the_names_that_probes_log(modalities, tmp_path, command_line) -> None:
    assert command_line("dashboard", "--dry-run", f"modalities={modalities}") == 0
    charts = _panels(json.loads((tmp_path / "dashboard.json").read_text()))
    shown = [config["metrics"] for config in charts["dimension"] if "recovery" in config["metrics"][0]]
    blocks = {
        2: [["recovery/kernel/x", "recovery/kernel/y"]],
        3: [[f"recovery/kernel/{block}/{side}" for side in "xyz"] for block in SyntheticThree().shared],
        4: [],  # no data of so many have a known latent
    }
    assert shown == blocks[modalities]
    assert len({config["chartTitle"] for config in charts["dimension"]}) == len(charts["dimension"])


@pytest.mark.slow
def test_the_workspace_is_saved(command_line, wandb_at, capsys) -> None:
    with serving(None) as service:
        wandb_at(service.url)
        assert command_line("dashboard", "project=mine", "name=runs by section") == 0
    (saved,) = service.views
    assert (saved["entityName"], saved["projectName"], saved["displayName"]) == (
        "me",
        "mine",
        "runs by section",
    )
    assert list(_panels({"spec": json.loads(saved["spec"])})) == SECTIONS
    assert f"Dashboard: {service.url}/me/mine?nw=saved" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("obstacle", "said"),
    [
        ("no package", "wandb-workspaces is not installed: pip install wandb-workspaces"),
        ("no key", "No API key configured. Use `wandb login` to log in."),
        ("wrong key", "the key is wrong"),
        ("no network", "W&B: "),
    ],
)
def test_an_obstacle_is_one_line(
    command_line, wandb_at, capsys, monkeypatch, tmp_path, obstacle, said
) -> None:
    monkeypatch.setattr(dashboard, "TIMEOUT", 2)
    with serving("wrong key") as service:
        wandb_at(f"http://127.0.0.1:{closed_port()}" if obstacle == "no network" else service.url)
        if obstacle == "no package":
            monkeypatch.setattr(dashboard, "find_spec", lambda name: None)
        if obstacle == "no key":
            monkeypatch.delenv("WANDB_API_KEY")
            monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        assert command_line("dashboard") == 2
    error = capsys.readouterr().err
    assert error.startswith("intrinsic-clip: ")
    assert error.count("\n") == 1
    assert said in error


@pytest.mark.slow
@pytest.mark.parametrize("override", ["projekt=x", "output_dims=[0]", "file=", "--multirun", "nonsense"])
def test_bad_input_writes_nothing(command_line, tmp_path, override) -> None:
    assert command_line("dashboard", "--dry-run", override) == 2
    assert list(tmp_path.iterdir()) == []
