"""Figures and claims are drawn from finished runs alone, and say what is missing."""

import importlib
import json
import math
import re
import shutil
import statistics
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import matplotlib
import numpy as np
import pandas as pd
import pytest
import skdim
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from safetensors.numpy import load_file

from helpers.miniatures import write_image
from helpers.tiny_runs import files_below, tiny_open_clip
from intrinsic_clip.cli import program
from intrinsic_clip.config.folders import conf_folder
from intrinsic_clip.data import SyntheticNonlinear
from intrinsic_clip.paper_figures import (
    FIGURES,
    independent,
    published_code,
    shallow,
    style,
    sweeps,
    synthetic_linear,
    temperatures,
)
from intrinsic_clip.paper_figures.claims import judged, near
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns, read_runs
from intrinsic_clip.runs import tidy_table
from intrinsic_clip.runs.sealed import read_sealed, write_sealed
from intrinsic_clip.sweeps.described import described_runs

# `finished` trains more than forty runs, within the limit of whichever test is the first to ask for it.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

SMOKE = ["size=smoke", "logger=csv", "progress=false", "threads=1"]
# The sweeps of single settings are shortened: what they sweep over, the command line may say.
SHORTENED = {
    "fixed_temperature": "objective.temperature.tau=0.1,1.0",
    "information": "data.noise=0.3,1.0",
    "information_estimates": "data.noise=0.3,1.0 replicates=2",
    "shared_dim": "data.shared_dim=2,5",
    "sample_size": "data.n_train=512,1024",
    "sample_size_nonlinear": "data.n_train=512",
    "truth": "data=synthetic_linear data.shared_dim=2",
    "truth_mixed": "data.mixing=sine data.shared_dim=5",
    "recipes": "trainer.max_epochs=2",
    "objectives": "data=synthetic_linear tuned=infonce,vicreg trainer.max_epochs=2 replicates=2",
    "objectives_dims": "encoder.output_dim=4,7 tuned=infonce,vicreg trainer.max_epochs=2 replicates=2",
    "objectives_mixed": "data.mixing=tanh tuned=infonce trainer.max_epochs=2 replicates=2",
    "temperature": "data=synthetic_linear objective/temperature=learned,clamped trainer.max_epochs=2 replicates=2",
    "temperature_sigmoid": "data=synthetic_linear objective.temperature.tau=0.1 objective.bias=0.0 "
    "objective.learn_bias=true trainer.max_epochs=2 replicates=2",
    "three_modalities": "data=synthetic_three,synthetic_three_uneven objective=pairs,gram",
}
WHOLE = [
    "dynamics",
    "synthetic_linear",
    "synthetic_nonlinear",
    "cosine",
    "shallow",
    "synthetic_independent",
    "openclipart",
    "openclipart_regularised",
]
ROWS = {"objectives"}  # panels with a row for each objective, named by the ticks
GRIDS = {"temperature", "three_modalities"}  # panels that share labels, or have a tick for each objective
FEW = ["data.n_train=64", "data.n_append=8", "data.n_test=24", "data.batch_size=32", "probes.dimension.k=5"]
TOWERS = [*FEW, "data.image_size=32", "features.model=tiny", "features.pretrained=null"]


def write_cells(folder: Path) -> list[str]:
    """Write RNA, protein and classes of cells as .csv; return the overrides that name them."""
    draw = np.random.default_rng(0)
    kinds = draw.integers(0, 4, 100)
    names = [f"AAAC{i}-1" for i in range(100)]
    for name, columns in {"rna": 40, "protein": 9}.items():
        counts = draw.poisson(draw.gamma(2.0, 5.0, (4, columns))[kinds])
        pd.DataFrame(counts, names, [f"{name}{i}" for i in range(columns)]).to_csv(folder / f"{name}.csv")
    classes = {"celltype.l1": kinds // 2, "celltype.l2": kinds}
    pd.DataFrame({key: [f"T{k}" for k in kind] for key, kind in classes.items()}, names).to_csv(
        folder / "cells.csv"
    )
    files = [f"data.{name}={folder / name}.csv" for name in ("rna", "protein", "cells")]
    return [*files, "data.rna_components=12", "data.protein_components=5"]


def write_images(folder: Path) -> list[str]:
    """Write images in folders of 4 classes and a table of captions; return overrides for imagenetv2 and yfcc."""
    for i in range(96):
        write_image(folder / "classes" / str(i % 4) / f"{i}.jpeg", i)
        write_image(folder / "images" / f"{i}.jpg", i)
    table = pd.DataFrame({"photoid": range(96), "title": [f"bridge+no.+{i}" for i in range(96)]})
    table.assign(kind=["a", "b", "c"] * 32).to_csv(folder / "yfcc.csv", index=False)
    return [
        f"data.folder={folder / 'classes'}",
        f"data={{folder:{folder / 'images'},table:{folder / 'yfcc.csv'},labels:[kind]}}",
    ]


def _save_some_empty(monkeypatch: pytest.MonkeyPatch, whole: set[str]) -> None:
    """Draw the named figures alone as they are, others without their panels: each takes seconds."""
    save = style.save

    def save_most_empty(figure: Figure, folder: Path, name: str) -> list[Path]:
        if name not in whole:
            figure.clear()
            figure.set_layout_engine("none")
        return save(figure, folder, name)

    monkeypatch.setattr(style, "save", save_most_empty)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run all experiments at size=smoke, on miniatures of the files that they need."""
    folder = tmp_path_factory.mktemp("smoke")
    cells, (classes, table) = write_cells(folder), write_images(folder)
    tiny_open_clip(folder / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(
            "intrinsic_clip.training.finish.draw_run", lambda *_: None
        )  # nearly half of a tiny run's time
        commands = [["--multirun", f"experiment={','.join(WHOLE)}"]]
        commands += [
            ["--multirun", f"experiment={name}", *values.split()] for name, values in SHORTENED.items()
        ]
        commands += [[f"experiment={name}", *FEW, *cells] for name in ("citeseq", "citeseq_transformer")]
        commands += [["experiment=imagenetv2", *TOWERS, classes], ["experiment=yfcc", *TOWERS, table]]
        commands += [
            ["experiment=ladder", "data=openclipart", "probes.shared.trainings=2", "probes.shared.rows=200"]
        ]
        for command in commands:
            patch.setattr("sys.argv", ["intrinsic-clip", "train", *SMOKE, *command])
            program.main()
    return folder / "outputs"


@pytest.mark.long
def test_all_that_has_been_run_is_drawn_and_nothing_trained(
    finished, command_line, capsys, monkeypatch
) -> None:
    _save_some_empty(monkeypatch, whole={"dynamics", "similarities", "truth"})
    before = files_below(finished)
    assert command_line("figures", f"output_dir={finished}", "to=drawn") == 0
    said = capsys.readouterr().out
    assert files_below(finished) == before
    assert re.findall(r"drawn    (\w+)", said) == list(FIGURES)
    for name in FIGURES:
        assert Path(f"drawn/{name}.pdf").read_bytes().startswith(b"%PDF")
        with Image.open(f"drawn/{name}.png") as image:
            assert image.width > 400
    page = Path("drawn/RESULTS.md").read_text()
    assert not re.search(r"\| (agrees|\*\*does not agree\*\*) \|$", page, re.MULTILINE)
    assert page.count("So few steps test no claim.") == len(FIGURES)
    assert re.findall(r"^## (\w+)$", page, re.MULTILINE) == list(FIGURES)


def _all_figures(finished: Path) -> Iterator[tuple[str, ModuleType, FinishedRuns]]:
    """Yield every figure's name, module and runs."""
    modules = {name: importlib.import_module(f"intrinsic_clip.paper_figures.{name}") for name in FIGURES}
    experiments = {e for m in modules.values() for e in (*m.EXPERIMENTS, *getattr(m, "OPTIONAL", ()))}
    runs = read_runs(finished, sorted(experiments))["smoke"]
    for name, module in modules.items():
        yield name, module, runs.select(module.EXPERIMENTS, getattr(module, "OPTIONAL", ()))


def test_every_panel_is_labelled_and_shows_something(finished) -> None:
    for name, module, runs in _all_figures(finished):
        figure = module.draw(runs)
        panels = [ax for ax in figure.axes if ax.get_visible()]
        for letter, ax in zip("abcdefghijklmnopqrstuvwxyz", panels, strict=False):
            assert ax.get_title(loc="left").startswith(f"({letter})"), name
            assert ax.get_xlabel() or name in GRIDS, name
            assert ax.get_ylabel() or name in ROWS | GRIDS, name
            assert ax.has_data() or name == "temperatures", name  # two epochs may leave no τ in the file
            _check_in_view(ax, name)
        foot = " ".join(figure.get_supxlabel().split())
        assert re.match(r"size=smoke(, but .+)?: (mean ± sd over|a point for each of) 2 repetitions", foot), (
            name
        )


def _check_in_view(ax: Axes, name: str) -> None:
    """Check that every mean lies in the panel, and that ticks at dimensions are whole numbers."""
    for line in ax.lines:
        if line.get_marker() == "None" or line.get_transform() != ax.transData:
            continue
        for limits, data in ((ax.get_xlim(), line.get_xdata()), (ax.get_ylim(), line.get_ydata())):
            values = np.asarray(data, dtype=float)
            in_view = (min(limits) <= values) & (values <= max(limits))
            assert (in_view | np.isnan(values)).all(), (name, line.get_label())
    if ax.get_xlabel() in (style.OUTPUT_DIM, "true k*"):
        assert all(float(tick).is_integer() for tick in ax.get_xticks()), name


def test_lines_and_bands_are_the_numbers_of_the_runs(finished) -> None:
    runs = read_runs(finished, ["synthetic_linear"])["smoke"]
    matching, dimension = synthetic_linear.draw(runs).axes
    assert matching.get_ylabel() == "matching accuracy"
    assert dimension.get_ylabel() == "intrinsic dimension"
    for ax, label, metric in (
        (matching, "out of sample (of 128)", "matching/top_1/x_to_y"),
        (matching, "in sample (of 512)", "in_sample/matching/top_1/x_to_y"),
        (dimension, "f(X)", "id/mle/x"),
        (dimension, "g(Y), in sample", "in_sample/id/mle/y"),
    ):
        curve = runs.curve("synthetic_linear", metric)
        assert len(curve) > 1
        (place,) = [place for place, line in enumerate(ax.lines) if line.get_label() == label]
        assert ax.lines[place].get_xdata().tolist() == curve["at"].tolist()
        assert ax.lines[place].get_ydata().tolist() == curve["mean"].tolist()
        corners = ax.collections[place].get_paths()[0].vertices
        for at, low, high in zip(
            curve["at"], curve["mean"] - curve["std"], curve["mean"] + curve["std"], strict=True
        ):
            heights = [y for x, y in corners.tolist() if x == at]
            assert [min(heights), max(heights)] == pytest.approx([low, high])
    assert [line.get_ydata()[0] for line in dimension.lines if line.get_label() == "k* = 5"] == [5]


def test_the_legend_of_the_dimensions_lies_beside_the_curves(monkeypatch) -> None:
    monkeypatch.setattr(sweeps, "shared_dimension", lambda runs, experiment: pd.Series([4.4]))
    metrics = ("matching/top_1/x_to_y", "id/mle/x", "id/mle/y", "in_sample/id/mle/x", "in_sample/id/mle/y")
    rows = [
        {"metric": metric, "encoder.output_dim": d, "replicate": 0, "value": min(d, 5), "run": "a"}
        for metric in metrics
        for d in (1, 4, 7)
    ]
    table = pd.DataFrame(rows).assign(**{"data.n_train": 512, "data.n_test": 128})
    with style.in_style():
        figure = synthetic_linear.draw(FinishedRuns("smoke", {"synthetic_linear": table}))
        figure.draw_without_rendering()
    panel = figure.axes[1]
    assert panel.get_legend().get_window_extent().x0 >= panel.get_window_extent().x1
    assert panel.get_legend().get_window_extent().x1 <= figure.bbox.x1


def test_lines_drawn_after_the_axis_was_scaled_are_in_view() -> None:
    _, (ax,) = style.panels(1)
    style.band(ax, pd.DataFrame({"at": [1, 2], "mean": [3.0, 4.0], "std": [0.1, 0.1]}))
    style.y_axis(ax, "id/mle/x")
    assert ax.get_ylim()[0] == 0
    style.true_dim(ax, 9)
    style.band(ax, pd.DataFrame({"at": [1, 2], "mean": [3.0, 12.0], "std": [0.1, 0.1]}))
    bottom, top = ax.get_ylim()
    assert bottom == 0
    assert top > 12


def _first_training(table: pd.DataFrame) -> pd.DataFrame:
    rows = table[table["run"] == table["run"].iloc[0]]
    smallest = rows["encoder.output_dim"].min()
    return rows[(rows["encoder.output_dim"] == smallest) & (rows["replicate"] == 0)]


@pytest.mark.long
@pytest.mark.parametrize(
    "cut", [_first_training, lambda table: table.assign(value=math.nan)], ids=["one training", "no numbers"]
)
def test_figures_of_a_sweep_that_has_just_begun_or_given_no_number_are_drawn(finished, cut) -> None:
    for _, module, runs in _all_figures(finished):
        part = FinishedRuns("smoke", {name: cut(table) for name, table in runs.tables.items()})
        assert isinstance(module.claims(part), list)
        assert module.draw(part).get_supxlabel().startswith("size=smoke: ")


def test_drawing_leaves_matplotlib_as_it_was(finished, command_line) -> None:
    before = matplotlib.rcParams.copy()
    assert command_line("figures", "synthetic_linear", f"output_dir={finished}", "to=drawn") == 0
    assert matplotlib.rcParams.copy() == before


def test_what_is_missing_comes_with_its_command(tmp_path, finished, command_line, capsys) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "cosine").symlink_to(finished / "cosine")
    assert command_line("figures") == 0
    commands = dict(re.findall(r"missing  (\w+) +intrinsic-clip train (.+)", capsys.readouterr().out))
    assert set(commands) == set(FIGURES) - {"similarities"}
    page = (tmp_path / "outputs" / "figures" / "RESULTS.md").read_text().partition("## Not run\n")[2]
    assert page.count("- ") == len(commands)
    assert all(f"- {name}: `intrinsic-clip train {command}`" in page for name, command in commands.items())
    assert commands["cosine"] == "experiment=synthetic_linear size=smoke"
    assert commands["recovery"] == (
        "--multirun experiment=synthetic_linear,synthetic_nonlinear,shared_dim size=laptop"
    )
    for command in commands.values():
        for experiment in re.search(r"experiment=(\S+)", command)[1].split(","):
            assert (conf_folder() / "experiment" / f"{experiment}.yaml").exists()


def test_numbers_are_those_of_results_json(finished) -> None:
    runs = read_runs(finished, ["synthetic_linear", "information"])["smoke"]
    path = next(finished.glob("synthetic_linear/*/results.json"))
    metrics, dims = (json.loads(path.read_text())[key] for key in ("metrics", "config"))
    place = dims["encoder"]["output_dim"].index(4)
    values = metrics["id/mle/x"]["values"][place]
    assert runs.values("synthetic_linear", "id/mle/x", d=4).tolist() == values
    row = runs.curve("synthetic_linear", "id/mle/x").set_index("at").loc[4]
    assert row["mean"] == pytest.approx(statistics.mean(values))
    assert row["std"] == pytest.approx(statistics.stdev(values))
    assert row["count"] == 2
    over = runs.curve("information", "temperature", "data.noise")
    assert over["at"].tolist() == [0.3, 1.0]
    along = runs.trajectory("synthetic_linear", "id/mle/x", d=4)
    assert along["mean"].iloc[-1] == pytest.approx(row["mean"])


def test_embeddings_are_those_of_one_output_dimension(finished) -> None:
    runs = read_runs(finished, ["openclipart"])["smoke"]
    embeddings = runs.embeddings("openclipart", 4)
    assert embeddings.x.shape == embeddings.y_raw.shape == (128, 4)
    logits = embeddings.x_raw @ embeddings.y_raw.T
    matched = (logits > np.diag(logits)[:, None]).sum(1) < 10
    first = runs.values("openclipart", "matching/top_10/x_to_y", d=4).iloc[0]
    assert matched.mean() == pytest.approx(first, abs=0.001)


def test_claims_say_when_the_paper_is_contradicted() -> None:
    def table(value: float) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {"metric": f"id/{name}", "encoder.output_dim": d, "replicate": r, "value": value + r / 10}
                for name in ("mle/x", "mle/y", "twonn/x", "twonn/y")
                for d in (4, 7, 19)
                for r in (0, 1)
            ]
        )

    verdicts = {
        value: [
            c.agrees for c in sweeps.dimension_claims(FinishedRuns("smoke", {"any": table(value)}), "any", 5)
        ]
        for value in (5.0, 8.0)
    }
    assert verdicts == {5.0: [True, True], 8.0: [False, False]}


def test_no_output_dimension_of_at_least_k_gives_no_verdict() -> None:
    rows = [{"metric": "id/mle/x", "encoder.output_dim": d, "replicate": 0, "value": 1.0} for d in (1, 4)]
    runs = FinishedRuns("smoke", {"any": pd.DataFrame(rows)})
    (claim,) = sweeps.dimension_claims(runs, "any", 5)
    assert (claim.says, claim.measured) == ("d ≥ 5: ID(f) = ID(g) = k* = 5", "no such d has been trained")
    assert claim.agrees is None


@pytest.mark.parametrize(
    ("dims", "saturates", "rises"),
    [((4, 7, 19, 31), True, True), ((7, 19, 31), True, True), ((1, 19), None, None), ((19, 31), None, None)],
)
def test_too_few_output_dimensions_give_no_verdict(
    dims: tuple[int, ...], saturates: bool, rises: bool
) -> None:
    rows = [
        {"metric": metric, "encoder.output_dim": d, "replicate": 0, "value": min(d, 18) + d / 100}
        for metric in ("id/mle/x", "id/mle/y", "matching/top_1/x_to_y")
        for d in dims
    ]
    runs = FinishedRuns("smoke", {"any": pd.DataFrame(rows)})
    claims = sweeps.saturation_claims(runs, "any", "matching/top_1/x_to_y")
    assert [claim.agrees for claim in claims] == [saturates] * 3
    assert sweeps.matching_claim(runs, "any", "matching/top_1/x_to_y", 19).agrees is rises


def test_what_is_shared_is_the_first_columns_of_x(finished) -> None:
    runs = read_runs(finished, ["synthetic_nonlinear"])["smoke"]
    sizes = {"n_train": 512, "n_append": 64, "n_test": 128}  # as in conf/size/smoke.yaml
    x = SyntheticNonlinear(**sizes, replicates=2).pairs("test").x[..., :5]
    expected = [skdim.id.MLE().fit(np.unique(rows.double(), axis=0)).dimension_ for rows in x]
    estimates = sweeps.shared_dimension(runs, "synthetic_nonlinear")
    assert estimates.tolist() == pytest.approx(expected, rel=1e-4)


def test_an_unfinished_run_is_named_and_left_out(tmp_path, finished, command_line, capsys) -> None:
    run = tmp_path / "outputs" / "dynamics" / "0123456789ab"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("name: dynamics\n")
    assert command_line("figures", "dynamics") == 0
    said = capsys.readouterr().out
    assert f"{run.relative_to(tmp_path)} is left out: unfinished" in said
    assert "missing  dynamics             intrinsic-clip train experiment=dynamics size=laptop\n" in said
    assert not (tmp_path / "outputs" / "figures").exists()


def test_a_sweep_that_is_not_done_is_drawn_and_said_so(tmp_path, finished, command_line, capsys) -> None:
    runs = tmp_path / "outputs" / "recipes"
    shutil.copytree(finished / "recipes", runs)
    assert command_line("figures", "recipes") == 0
    assert "missing" not in capsys.readouterr().out
    for made, run in zip((3, 2, 1), sorted(runs.iterdir()), strict=False):
        shutil.rmtree(run)
        assert command_line("figures") == 0
        said = capsys.readouterr().out
        assert f"recipes.png (smoke, {made} of 4 settings so far)" in said
        assert "missing  recipes              intrinsic-clip train experiment=recipes size=smoke\n" in said
        page = (tmp_path / "outputs" / "figures" / "RESULTS.md").read_text()
        assert f"2 repetitions, {made} of 4 settings so far" in page


def test_damaged_files_of_one_figure_leave_the_others(tmp_path, finished, command_line, capsys) -> None:
    for name in ("dynamics", "synthetic_independent"):
        shutil.copytree(finished / name, tmp_path / "outputs" / name)
    (metrics,) = (tmp_path / "outputs" / "dynamics").glob("*/metrics.csv")
    metrics.unlink()
    assert command_line("figures") == 2
    said = capsys.readouterr()
    assert f"damaged  dynamics             {metrics.relative_to(tmp_path)}: no such file" in said.out
    assert "drawn    independent" in said.out
    assert "not drawn, since files of their runs are missing or damaged: dynamics" in said.err
    page = (tmp_path / "outputs" / "figures" / "RESULTS.md").read_text()
    assert "## independent\n" in page
    assert "## Not drawn\n\n- dynamics: " in page


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["dynamic"], "dynamic: no such figure, did you mean dynamics?"),
        (["sise=smoke"], "sise: no such setting, did you mean size?"),
        (["size=big"], "size=big: must be paper, laptop, smoke"),
        (["output_dir=nowhere"], "output_dir=nowhere: no such folder"),
    ],
)
def test_wrong_input(tmp_path, command_line, capsys, arguments, complaint) -> None:
    (tmp_path / "outputs").mkdir()
    assert command_line("figures", *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"intrinsic-clip: {complaint}")
    assert said.count("\n") == 1
    assert files_below(tmp_path) == []


def test_the_size_is_that_of_most_of_a_figure(tmp_path, finished, command_line, capsys) -> None:
    """Two data sets at size=smoke and one of them also at size=paper: one figure wants both, the other's is larger."""
    for name in ("synthetic_linear", "synthetic_independent"):
        shutil.copytree(finished / name, tmp_path / "outputs" / name)
    (smoke,) = (tmp_path / "outputs" / "synthetic_linear").iterdir()
    paper = smoke.with_name("0123456789ab")
    shutil.copytree(smoke, paper)
    results = read_sealed(paper / "results.json")
    assert results["config"]["size"] == "smoke"
    trained = {name: results["config"][name] for name in ("encoder", "replicates")}
    settings = described_runs("synthetic_linear", "paper").runs[0] | trained
    write_sealed(paper / "results.json", results | {"config": settings})
    assert command_line("figures", "temperatures", "synthetic_linear") == 0
    said = capsys.readouterr().out
    assert "temperatures.png (smoke)" in said
    assert "synthetic_linear.png (paper)" in said


def test_the_published_code_is_met_where_both_were_trained(finished) -> None:
    """The mean of points is what scikit-dimension's fit_transform gives, and two epochs are not eight hundred."""
    runs = read_runs(finished, published_code.EXPERIMENTS)["smoke"]
    assert [published_code.dims(runs, name) for name in published_code.EXPERIMENTS] == [[7], [7]]
    (ours,) = runs.tables["synthetic_linear"]["run"].unique()
    tensors = load_file(Path(ours) / "embeddings.safetensors")["x"][2]
    expected = [skdim.id.MLE().fit_transform(rows[:, :7].astype(float)) for rows in tensors]
    estimates = published_code.ours(runs, "synthetic_linear", "id/mean_mle/x", 7)
    assert estimates.tolist() == pytest.approx(expected, rel=1e-4)
    claims = published_code.claims(runs)
    assert [claim.agrees for claim in claims] == [False, False]
    assert "temperature 1.00" in claims[0].measured
    assert re.search(r"temperature [^;]*\*\*differs", claims[0].measured)


def test_published_numbers_agree_with_themselves(monkeypatch) -> None:
    published = {name: published_code.published(name) for name in published_code.EXPERIMENTS}
    rows = pd.concat(
        table.melt(["experiment", "d", "replicate"], var_name="metric").rename(
            columns={"d": "encoder.output_dim"}
        )
        for table in published.values()
    )
    tables = {name: rows[rows["experiment"] == name] for name in published}
    monkeypatch.setattr(published_code, "ours", lambda runs, name, metric, d: runs.values(name, metric, d=d))
    claims = published_code.claims(FinishedRuns("paper", tables))
    assert len(claims) == 6
    assert all(claim.agrees for claim in claims)


@pytest.mark.parametrize(("lost", "said"), [(1, "1 training of "), (2, "2 trainings of ")])
def test_trainings_that_diverged_are_left_out_and_counted(
    tmp_path, finished, command_line, capsys, lost, said
) -> None:
    shutil.copytree(finished / "dynamics", tmp_path / "outputs" / "dynamics")
    (run,) = (tmp_path / "outputs" / "dynamics").iterdir()
    results = read_sealed(run / "results.json")
    for summary in results["metrics"].values():
        summary["values"] = [None] * lost + summary["values"][lost:]
    write_sealed(run / "results.json", results)
    assert command_line("figures", "dynamics") == 0
    printed = capsys.readouterr().out
    assert f"{said}outputs/dynamics/{run.name} left out of figures: the loss is not finite" in printed
    assert ("drawn" in printed) is (lost == 1)
    assert ("missing  dynamics" in printed) is (lost == 2)
    with pytest.warns(UserWarning, match="left out of figures"):
        runs = read_runs(tmp_path / "outputs", ["dynamics"])["smoke"]
    if lost == 1:
        assert runs.note == "size=smoke: 1 repetition, 1 training diverged, 512 training pairs"
        assert len(runs.values("dynamics", "temperature")) == 1
        assert len(list(runs.all_embeddings("dynamics", 19))) == 1


def test_a_claim_without_numbers_has_no_verdict() -> None:
    none, some = pd.Series([], dtype=float), pd.Series([4.9, 5.2])
    assert [near(some, 5), near(some, 7), near(none, 5)] == [True, False, None]
    assert judged(True, some, none) is None
    table = pd.DataFrame(
        {"run": ["a"], "metric": ["loss"], "value": [1.0], "encoder.output_dim": [19], "data.n_test": [100]}
    )
    runs = FinishedRuns("paper", dict.fromkeys(("shallow", *shallow.EXPERIMENTS), table))
    assert [claim.agrees for claim in shallow.claims(runs)] == [None, None]
    assert [claim.agrees for claim in sweeps.dimension_claims(runs, "shallow", 5)] == [None]
    alone = FinishedRuns("paper", {"synthetic_independent": table})
    assert [claim.agrees for claim in independent.claims(alone)] == [None] * 3
    assert [claim.agrees for claim in temperatures.claims(alone)] == [None]


@pytest.mark.parametrize(
    ("ours", "theirs", "alike"),
    [
        ([0.1, 0.2], [0.3], None),  # one repetition has no standard error
        ([0.1], [0.1, 0.2, 0.3], None),
        ([1.0, 1.0], [1.0, 1.0], True),  # nor has a metric at its limit any spread
        ([1.0, 1.0], [0.9, 0.9], False),
        ([0.1, 0.3], [0.2, 0.4], True),
    ],
)
def test_means_are_compared_by_their_standard_errors(ours, theirs, alike) -> None:
    assert published_code.within_three_errors(pd.Series(ours), pd.Series(theirs)) is alike


def test_every_size_is_kept_apart(finished) -> None:
    by_size = read_runs(finished, ["dynamics", "absent"])
    assert list(by_size) == ["paper", "laptop", "smoke"]
    assert by_size["smoke"].select(["dynamics"]) is not None
    assert by_size["laptop"].select(["dynamics"]) is None
    assert by_size["smoke"].select(["dynamics", "absent"]) is None
    assert by_size["smoke"].select(["dynamics"], ["absent"]).note == (
        "size=smoke: mean ± sd over 2 repetitions, 512 training pairs"
    )
    assert tidy_table.collect(finished / "dynamics")["size"].unique().tolist() == ["smoke"]
