"""The report's numbers are those of the runs, under any names and with parts missing."""

import json
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file

from intrinsic_clip.reports.page import trajectories
from intrinsic_clip.reports.page.document import document
from intrinsic_clip.reports.page.geometry import geometry
from intrinsic_clip.reports.page.settings import Training
from intrinsic_clip.reports.page.write import report
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.runs.results import write_results
from intrinsic_clip.runs.sealed import read_sealed
from intrinsic_clip.runs.stored_embeddings import StoredEmbeddings

pytestmark = pytest.mark.slow


class Scripts(HTMLParser):
    """Attributes and text of each script, as a browser parses them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.open = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open = tag == "script"
        if self.open:
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, text: str) -> None:
        if self.open:
            attributes, before = self.scripts.pop()
            self.scripts.append((attributes, before + text))

    def handle_endtag(self, tag: str) -> None:
        self.open = False


def embedded(path: Path) -> dict[str, Any]:
    """Return the data in a page; NaN and infinity, which JSON cannot express, are errors."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    data, code = Scripts(path.read_text()).scripts
    assert data[0] == {"type": "application/json", "id": "data"}
    assert code[0] == {}
    return json.loads(data[1], parse_constant=refuse)


@pytest.fixture
def copied(lone, tmp_path) -> Path:
    """A finished run to spoil."""
    (source,) = lone.glob("*/*")
    return Path(shutil.copytree(source, tmp_path / "copied" / "run"))


def edit(folder: Path, **changes: Any) -> None:
    """Write other results, with the checksums of what is there now."""
    results = read_sealed(folder / "results.json") or {}
    write_results(folder, results | changes, files=("metrics.csv", "embeddings.safetensors"))


@pytest.mark.long
def test_every_final_number_of_every_run_is_in_the_page(sweep, tmp_path) -> None:
    data = embedded(report(sweep, tmp_path / "page.html"))
    assert data["axes"] == ["encoder.output_dim", "data.noise"]
    assert [group["label"] for group in data["groups"]] == [
        f"d = {d}, noise = {noise}" for d in (2, 4) for noise in (0, 0.5)
    ]
    for path in sweep.glob("*/*/results.json"):
        results = json.loads(path.read_text())
        for i, d in enumerate((2, 4)):
            noise = results["config"]["data"]["noise"]
            (group,) = (
                place
                for place, group in enumerate(data["groups"])
                if group["settings"] == {"encoder.output_dim": d, "data.noise": noise}
            )
            places = [place for place, t in enumerate(data["trainings"]) if t["group"] == group]
            assert [data["trainings"][place]["label"] for place in places] == [
                f"replicate {r}" for r in range(3)
            ]
            assert set(results["metrics"]) == set(data["metrics"])
            for name, summary in results["metrics"].items():
                assert [data["metrics"][name][place] for place in places] == summary["values"][i]
            assert data["groups"][group]["shared_dim"] == results["shared_dim"] == 5


def test_trajectories_are_those_of_the_metrics_file(sweep, tmp_path) -> None:
    data = embedded(report(sweep, tmp_path / "page.html"))
    noisy = next(p for p in sweep.glob("*/*") if "noise: 0.5" in (p / "config.yaml").read_text())
    metrics = pd.read_csv(noisy / "metrics.csv")
    rows = metrics[(metrics.metric == "id/mle/x") & (metrics.output_dim == 4) & (metrics.replicate == 1)]
    labels = [(data["groups"][t["group"]]["label"], t["label"]) for t in data["trainings"]]
    grid, values = data["trajectories"]["curves"]["id/mle/x"][
        labels.index(("d = 4, noise = 0.5", "replicate 1"))
    ]
    assert data["trajectories"]["grids"][grid] == rows.step.tolist()
    assert values == pytest.approx(rows.value.tolist(), rel=1e-4)
    assert data["trajectories"]["points"] is None


def test_long_curves_are_thinned_and_the_page_says_so(lone, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(trajectories, "POINTS", 20)
    data = embedded(report(lone, tmp_path / "page.html"))
    (folder,) = lone.glob("*/*")
    steps = pd.read_csv(folder / "metrics.csv").query("metric == 'loss'").step.tolist()
    ((grid, _),) = data["trajectories"]["curves"]["loss"]
    kept = data["trajectories"]["grids"][grid]
    assert data["trajectories"]["points"] == 20
    assert len(kept) <= 20 < len(steps)
    assert (kept[0], kept[-1]) == (steps[0], steps[-1])
    assert set(kept) <= set(steps)


@pytest.mark.parametrize(("count", "most"), [(2, 500), (500, 500), (501, 500), (62_400, 500), (100, 40)])
def test_thinning_keeps_both_ends_and_at_most_so_many(count: int, most: int) -> None:
    kept = trajectories._kept(count, most)
    assert (kept[0], kept[-1]) == (0, count - 1)
    assert min(count, most) / 2 <= len(kept) <= min(count, most)


def test_many_curves_keep_fewer_points() -> None:
    curves = {"loss": (np.arange(1000), np.zeros((2000, 1000)))}
    assert trajectories.FEWEST < trajectories._points([curves]) <= trajectories.TOTAL / 2000


def test_histograms_and_spectra_are_those_of_the_saved_embeddings(lone, tmp_path) -> None:
    data = embedded(report(lone, tmp_path / "page.html"))
    (folder,) = lone.glob("*/*")
    saved = load_file(folder / "embeddings.safetensors")
    x, y = saved["x"].double().numpy(), saved["y"].double().numpy()
    ((histogram,),), (spectrum,) = data["similarities"], data["spectra"]
    edges = histogram["low"] + histogram["width"] * np.arange(len(histogram["positive"]) + 1)
    expected = np.histogram((x * y).sum(1), edges)[0] / (len(x) * histogram["width"])
    assert histogram["positive"] == pytest.approx(expected, rel=1e-3)
    covered = sum(
        histogram[kind] @ np.full(len(expected), histogram["width"]) for kind in ("positive", "random")
    )
    assert covered == pytest.approx(2, abs=0.03)
    assert histogram["pairs"] == len(x) == 100
    for side, rows in (("f(X)", x), ("g(Y)", y)):
        values = np.sort(np.linalg.eigvalsh(np.cov(rows.T)))[::-1]
        assert spectrum[side] == pytest.approx(values / values.sum(), rel=1e-3)


def test_three_modalities_have_histograms_of_each_two_and_a_spectrum_each() -> None:
    """Check that what z shares with x and y is in the page; it had x and y alone."""
    generator = np.random.default_rng(0)
    z = generator.normal(size=(200, 3))
    x, y = (generator.normal(size=(200, 3)) for _ in range(2))
    kept = {(None, None): StoredEmbeddings(x, y, x, y, further={"z": z})}
    run: Any = SimpleNamespace(
        kept_embeddings=kept, replicates=Replicates.of({"replicates": None, "encoder": {"output_dim": 3}})
    )
    group = [Training(Path("run"), 0, (0, 0), {})]
    (histograms,), (spectrum,), notes = geometry([group], {Path("run"): run})
    assert [histogram["of"] for histogram in histograms] == [
        "f(X) and g(Y)",
        "f(X) and h(Z)",
        "g(Y) and h(Z)",
    ]
    last = histograms[-1]
    edges = last["low"] + last["width"] * np.arange(len(last["positive"]) + 1)
    expected = np.histogram((y * z).sum(1), edges)[0] / (len(z) * last["width"])
    assert last["positive"] == pytest.approx(expected, rel=1e-3)
    assert list(spectrum) == ["f(X)", "g(Y)", "h(Z)"]
    values = np.sort(np.linalg.eigvalsh(np.cov(z.T)))[::-1]
    assert spectrum["h(Z)"] == pytest.approx(values / values.sum(), rel=1e-3)
    assert notes == []


def test_masked_columns_are_no_components(sweep, tmp_path) -> None:
    spectra = embedded(report(sweep, tmp_path / "page.html"))["spectra"]
    assert [len(spectrum["f(X)"]) for spectrum in spectra] == [2, 2, 4, 4]
    assert all(sum(spectrum["g(Y)"]) == pytest.approx(1, abs=1e-3) for spectrum in spectra)


def test_a_hostile_name_is_text(copied, tmp_path) -> None:
    name = "</script><script>alert(1)</script><!-- \u2028 &amp; \"'"
    results = json.loads((copied / "results.json").read_text())
    edit(copied, config=results["config"] | {"name": name}, reasons={name: name})
    path = report(copied)
    data = embedded(path)
    assert data["name"] == name
    assert data["reasons"] == [f"{name}: {name}"]
    assert "<script>alert" not in path.read_text()
    assert "<!--" not in path.read_text()


def test_what_could_not_be_measured_is_null(copied) -> None:
    results = json.loads((copied / "results.json").read_text())
    results["metrics"]["id/mle/x"] = {"mean": None, "std": None, "values": [None]}
    metrics = pd.read_csv(copied / "metrics.csv")
    metrics.loc[metrics.metric == "id/mle/x", "value"] = [math.nan, math.inf] * 2
    metrics.to_csv(copied / "metrics.csv", index=False)
    edit(copied, metrics=results["metrics"])
    data = embedded(report(copied))
    assert data["metrics"]["id/mle/x"] == [None]
    assert data["trajectories"]["curves"]["id/mle/x"][0][1] == [None] * 4


def test_without_curves_and_embeddings_the_rest_is_shown(copied) -> None:
    (copied / "metrics.csv").unlink()
    (copied / "embeddings.safetensors").write_bytes(b"damaged")
    data = embedded(report(copied))
    assert data["trajectories"]["curves"] == {}
    assert data["similarities"] == data["spectra"] == [None]
    assert data["metrics"]["id/mle/x"][0] > 0
    assert [note.partition(" (")[0] for note in data["notes"]][:2] == [
        "run: no curves over training", "run: no histograms and spectra"
    ]  # fmt: skip
    assert all(note.startswith("temperature ") for note in data["notes"][2:])
    assert "metrics.csv: no such file" in data["notes"][0]
    assert "embeddings.safetensors: damaged" in data["notes"][1]


def test_notes_name_the_runs_that_they_are_about(copied, tmp_path) -> None:
    others = [Path(shutil.copytree(copied, copied.parent / name)) for name in ("b", "c", "d", "e")]
    for place, folder in enumerate(others):
        settings = json.loads((folder / "results.json").read_text())["config"]
        edit(folder, seed=place + 1, config=settings | {"seed": place + 1}, notes=["all"], reasons={})
    edit(copied, notes=["all", "mine"], reasons={"id/mle/x": "too few rows"})
    edit(others[0], notes=["all", "of two"])
    edit(others[1], notes=["all", "of two", "of two"])
    data = embedded(report(copied.parent))
    said = [note for note in data["notes"] if note.endswith(("all", "mine", "of two"))]
    assert sorted(said) == ["all", "b, c: of two", "run: mine"]
    assert data["reasons"] == ["run: id/mle/x: too few rows"]
    for folder in others:
        edit(folder, notes=["many"])
    notes = embedded(report(copied.parent))["notes"]
    assert "b, c, d and 1 more: many" in notes


def test_unfinished_runs_are_left_out_and_named(command_line, capsys, copied) -> None:
    other = copied.parent / "begun"
    other.mkdir()
    (other / "config.yaml").write_text("")
    assert command_line("report", str(copied.parent)) == 0
    shown = capsys.readouterr()
    left_out, *notes = shown.err.splitlines()
    reason = f"{other} is left out: unfinished"
    assert left_out == f"intrinsic-clip: note: {reason}"
    assert all(note.startswith("intrinsic-clip: note: temperature ") for note in notes)
    assert re.fullmatch(rf"{re.escape(str(copied.parent / 'report.html'))} \(\d+\.\d MB\)\n", shown.out)
    assert embedded(copied.parent / "report.html")["left_out"] == [reason]


def test_wrong_input_is_one_line_exit_2_and_nothing_written(command_line, capsys, tmp_path) -> None:
    begun = tmp_path / "empty" / "begun"
    begun.mkdir(parents=True)
    (begun / "config.yaml").write_text("")
    for arguments, message in {
        (): "report takes one folder, got 0",
        ("nowhere",): "nowhere: no such folder",
        ("empty", "empty"): "report takes one folder, got 2",
        ("empty",): "empty: no finished run in it; empty/begun is left out: unfinished",
        ("empty", "outptu=a"): "outptu: unknown option, did you mean output?",
        ("empty", "seed=3"): "seed: unknown option, choose from output, open",
        ("empty", "open=yes"): "open=yes must be true or false",
        ("empty", "output="): "output= must name a file",
    }.items():
        assert command_line("report", *arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"intrinsic-clip: {message}")
        assert error.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["empty", "begun", "config.yaml"]


def test_a_page_goes_where_it_can_be_written(command_line, capsys, lone, tmp_path) -> None:
    assert command_line("report", str(lone), "output=no/such/page.html") == 2
    assert "page.html: No such file or directory" in capsys.readouterr().err
    assert command_line("report", str(lone), "output=page.html") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_it_is_shown_where_that_is_asked_for(command_line, lone, tmp_path, monkeypatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert command_line("report", str(lone), "output=page.html", "open=false") == 0
    assert opened == []
    assert command_line("report", str(lone), "output=page.html", "open=true") == 0
    assert opened == [(tmp_path / "page.html").as_uri()]


def test_help(command_line, capsys) -> None:
    assert command_line("report", "--help") == 0
    assert "usage: intrinsic-clip report FOLDER [output=FILE] [open=true]" in capsys.readouterr().out


def test_a_document_refuses_what_json_does_not_know() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        document("", "", data={"value": math.nan})
