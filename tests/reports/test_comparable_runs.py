"""A figure shows runs that are comparable, each training once, and says how they depart from their experiment."""

import shutil
import warnings
from pathlib import Path

import pytest

from intrinsic_clip.paper_figures.comparable_runs import FREE, departure
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns, read_runs
from intrinsic_clip.runs import tidy_table
from intrinsic_clip.runs.sealed import read_sealed, write_sealed
from intrinsic_clip.sweeps.described import described_runs
from intrinsic_clip.training import train as training

EXPERIMENT = "synthetic_linear"
SMOKE = ["size=smoke", "logger=csv", "progress=false", "threads=1"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train the experiment at size=smoke; return the folder of the run."""
    folder = tmp_path_factory.mktemp("comparable")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        _train(patch)
    return next(folder.glob("outputs/*/*"))


@pytest.fixture
def outputs(tmp_path: Path, finished: Path) -> Path:
    """Return a folder of runs with the finished one in it."""
    shutil.copytree(finished, tmp_path / "outputs" / EXPERIMENT / finished.name)
    return tmp_path / "outputs"


def _train(patch: pytest.MonkeyPatch, *overrides: str) -> None:
    """Run `train` of the experiment, or of another that the overrides name."""
    from intrinsic_clip.cli import program

    experiment = [] if overrides and "experiment" in overrides[0] else [f"experiment={EXPERIMENT}"]
    patch.setattr("sys.argv", ["intrinsic-clip", "train", *experiment, *SMOKE, *overrides])
    program.main()


def _copy(outputs: Path, name: str, **settings: dict[str, object] | int | None) -> None:
    """Copy the run to another folder as if it had been trained with other settings."""
    run = _own(outputs)
    shutil.copytree(run, run.with_name(name))
    results = read_sealed(run / "results.json")
    for node, values in settings.items():
        results["config"][node] = results["config"][node] | values if isinstance(values, dict) else values
    write_sealed(run.with_name(name) / "results.json", results | {"address": name})


def _own(outputs: Path) -> Path:
    """Return the folder of the run that was trained; copies have a name of one digit."""
    (run,) = (run for run in (outputs / EXPERIMENT).iterdir() if len(set(run.name)) > 1)
    return run


def _read(outputs: Path) -> tuple[FinishedRuns, list[str]]:
    """Return the runs of size=smoke, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        runs = read_runs(outputs, [EXPERIMENT])["smoke"]
    return runs, [str(warning.message) for warning in caught]


def test_a_run_with_another_setting_is_left_out_and_named(outputs) -> None:
    alone = _read(outputs)[0].tables[EXPERIMENT]
    _copy(outputs, "0" * 12, trainer={"max_epochs": 3})
    _copy(outputs, "1" * 12, data={"noise": 0.5})
    runs, warned = _read(outputs)
    assert runs.tables[EXPERIMENT]["run"].unique().tolist() == alone["run"].unique().tolist()
    assert runs.note == "size=smoke: mean ± sd over 2 repetitions, 512 training pairs"
    assert sorted(sentence.partition("trained with ")[2] for sentence in warned) == [
        f"{changed}; others are as experiment={EXPERIMENT} size=smoke says"
        for changed in ("data.noise=0.5", "trainer.max_epochs=3")
    ]


def test_runs_without_a_size_are_left_out_and_named(outputs, command_line, capsys) -> None:
    own = _own(outputs)
    for place in range(5):
        _copy(outputs, str(place) * 12, size=None)
    shutil.rmtree(own)
    assert command_line("figures", EXPERIMENT) == 0
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == (
        f"  {', '.join(f'outputs/{EXPERIMENT}/{str(place) * 12}' for place in range(3))} and 2 other runs left out of "
        "figures: trained without size=; figures show runs trained with size=paper, laptop or smoke"
    )
    assert second.startswith(f"  missing  {EXPERIMENT} ")


def test_where_no_run_is_the_experiments_own_the_note_says_what_differs(outputs) -> None:
    own = _own(outputs)
    _copy(outputs, "0" * 12, trainer={"max_epochs": 3}, seed=1)
    _copy(outputs, "1" * 12, trainer={"max_epochs": 3}, seed=2)
    _copy(outputs, "2" * 12, trainer={"max_epochs": 4})
    shutil.rmtree(own)
    runs, warned = _read(outputs)
    assert runs.departures == {EXPERIMENT: "trainer.max_epochs=3"}
    assert runs.trained == "smoke, but trainer.max_epochs=3"
    assert runs.note.startswith("size=smoke, but trainer.max_epochs=3: mean ± sd over 4 repetitions")
    assert len(warned) == 1
    assert "trained with trainer.max_epochs=4; others are trained with trainer.max_epochs=3" in warned[0]


def test_probes_that_measure_more_or_at_other_times_make_no_other_run(outputs) -> None:
    _copy(outputs, "0" * 12, probes={"every_n_epochs": 7, "another": {"k": 3}}, seed=1)
    assert _read(outputs)[1] == []
    settings = read_sealed(_own(outputs) / "results.json")["config"]["probes"]["dimension"]
    _copy(outputs, "1" * 12, probes={"dimension": settings | {"k": 5}})
    assert "trained with probes.dimension.k=5" in _read(outputs)[1][0]


def test_where_the_users_files_lie_is_no_departure_but_other_files_are(outputs) -> None:
    own = _own(outputs)
    _copy(outputs, "0" * 12, data={"folder": "here/pictures"}, seed=1)
    _copy(outputs, "1" * 12, data={"folder": "here/pictures"}, seed=2)
    shutil.rmtree(own)
    assert _read(outputs)[0].departures == {}
    shutil.copytree(outputs / EXPERIMENT / ("1" * 12), own)
    _copy(outputs, "2" * 12, data={"folder": "elsewhere"})
    runs, warned = _read(outputs)
    assert runs.repetitions(EXPERIMENT) == 4
    assert (
        "trained with data.folder=elsewhere; others are trained with data.folder=here/pictures" in warned[0]
    )


def test_a_training_that_two_runs_have_counts_once(outputs) -> None:
    before = _read(outputs)[0]
    _copy(outputs, "0" * 12, probes={"another": {"k": 3}})  # the same trainings
    runs, warned = _read(outputs)
    assert warned == []
    assert len(runs.tables[EXPERIMENT]) == len(before.tables[EXPERIMENT])
    for metric in ("id/mle/x", "temperature"):
        assert runs.curve(EXPERIMENT, metric)["count"].tolist() == [2, 2, 2]
    assert runs.trajectory(EXPERIMENT, "id/mle/x", d=7)["count"].max() == 2
    assert len(list(runs.all_embeddings(EXPERIMENT, 4))) == len(list(before.all_embeddings(EXPERIMENT, 4)))


def test_other_repetitions_of_the_same_setting_are_added(outputs, monkeypatch) -> None:
    monkeypatch.chdir(outputs.parent)
    _train(monkeypatch, "replicates=[1,2]")
    runs, warned = _read(outputs)
    assert warned == []
    assert runs.repetitions(EXPERIMENT) == 3  # 1 is in both
    assert "mean ± sd over 3 repetitions" in runs.note
    assert runs.curve(EXPERIMENT, "id/mle/x")["count"].tolist() == [3, 3, 3]
    along = runs.trajectory(EXPERIMENT, "id/mle/x", d=7)
    assert along["count"].unique().tolist() == [3]
    assert along["mean"].iloc[-1] == pytest.approx(runs.values(EXPERIMENT, "id/mle/x", d=7).mean())
    assert runs.latent(EXPERIMENT).shape == (3, 128, 5)


def test_another_seed_of_the_data_alone_is_another_repetition(outputs) -> None:
    for name, seed in (("0" * 12, 5), ("1" * 12, 6)):
        _copy(outputs, name, data={"seed": seed})
    runs, warned = _read(outputs)
    assert warned == []
    assert runs.note == "size=smoke: mean ± sd over 6 repetitions, 512 training pairs"
    assert runs.curve(EXPERIMENT, "id/mle/x")["count"].tolist() == [6, 6, 6]
    assert runs.trajectory(EXPERIMENT, "id/mle/x", d=7)["count"].unique().tolist() == [6]


def test_repetitions_are_counted_at_each_output_dimension(outputs, monkeypatch) -> None:
    monkeypatch.chdir(outputs.parent)
    _train(monkeypatch, "seed=1", "encoder.output_dim=[4,7]", "replicates=1")
    runs, warned = _read(outputs)
    assert warned == []
    assert runs.curve(EXPERIMENT, "id/mle/x")["count"].tolist() == [2, 3, 3]
    assert "mean ± sd over 2–3 repetitions" in runs.note
    assert [runs.repetitions(EXPERIMENT, d=d) for d in (1, 4, 7)] == [2, 3, 3]
    assert runs.repetitions(EXPERIMENT) == 3


def test_a_trajectory_at_one_output_dimension_has_no_run_of_others(outputs, monkeypatch) -> None:
    monkeypatch.chdir(outputs.parent)
    before = _read(outputs)[0].trajectory(EXPERIMENT, "id/mle/x", d=7)
    _train(monkeypatch, "encoder.output_dim=9")  # its file names no output dimension
    _train(monkeypatch, "encoder.output_dim=[7,8]")  # d = 7 is a training of the first run
    runs, warned = _read(outputs)
    assert warned == []
    assert runs.output_dims(EXPERIMENT) == [1, 4, 7, 8, 9]
    assert runs.trajectory(EXPERIMENT, "id/mle/x", d=7).equals(before)


def test_an_unfinished_run_counts_with_the_repetitions_that_are_done(outputs, monkeypatch, finished) -> None:
    shutil.rmtree(_own(outputs))
    parts = []

    def two_parts(*arguments: object) -> object:
        if len(parts) == 2:
            raise KeyboardInterrupt
        parts.append(arguments)
        return train_part(*arguments)

    train_part = training._train_part
    monkeypatch.setattr(training, "_train_part", two_parts)
    monkeypatch.chdir(outputs.parent)
    with pytest.raises(SystemExit):
        _train(monkeypatch, "replicates=5", "replicates_per_chunk=1")
    run = _own(outputs)
    runs, warned = _read(outputs)
    assert warned == [f"{run} is unfinished: 2 of its 5 repetitions are done"]
    assert runs.note == "size=smoke: mean ± sd over 2 repetitions so far, of 5, 512 training pairs"
    whole = read_runs(finished.parents[1], [EXPERIMENT])["smoke"]
    for metric in ("id/mle/x", "in_sample/matching/top_1/x_to_y"):
        assert runs.values(EXPERIMENT, metric, d=7).tolist() == pytest.approx(
            whole.values(EXPERIMENT, metric, d=7).tolist(), rel=1e-4
        )
    assert runs.trajectory(EXPERIMENT, "id/mle/x", d=7)["count"].unique().tolist() == [2]
    with pytest.warns(UserWarning, match="left out: unfinished"):
        assert tidy_table.collect(outputs).empty


def test_a_finished_run_is_preferred_to_an_unfinished_or_changed_one_of_a_larger_size(
    outputs, command_line, capsys
) -> None:
    _copy(outputs, "0" * 12, size="laptop")  # by name alone: its settings are those of size=smoke
    assert command_line("figures", EXPERIMENT) == 0
    assert "synthetic_linear.png (smoke)" in capsys.readouterr().out
    assert command_line("figures", EXPERIMENT, "size=laptop") == 0
    assert "synthetic_linear.png (laptop, but " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"data.noise": 0.0, "trainer.max_epochs": 40}, ""),
        ({"data.noise": 0.7, "trainer.max_epochs": 40}, ""),  # swept over
        ({"seed": 3, "replicates": 8, "encoder.output_dim": 9}, ""),
        ({"objective.temperature.scale": 2.0, "trainer.max_epochs": 40}, "objective.temperature.scale=2.0"),
        ({"trainer.max_epochs": 40, "trainer.gradient_clip_val": 1.0}, "trainer.gradient_clip_val=1.0"),
        ({"trainer.max_epochs": 40, "objective.temperature.scale": 4.0, "probes.k": 9}, "probes.k=9"),
        ({"probes.new.k": 9, "probes.names": ["a"], "probes.every_n_epochs": 3}, ""),
        ({"a": 1, "b": "two", "c": None, "d": [1, 2], "e": 5}, 'a=1, b=two, c=null and 2 other settings'),
    ],
)  # fmt: skip
def test_departures(content, expected) -> None:
    nearest = {
        "data.noise": 0.0, "trainer.max_epochs": 40, "objective.temperature.scale": 4.0,
        "probes.k": 20, "probes.names": ["b"], "probes.every_n_epochs": 20,
    }  # fmt: skip
    far = {"data.noise": 1.0}
    assert departure(content, [far, nearest], FREE | {"data.noise"}) == expected


def test_settings_that_an_experiment_sweeps_are_its_own(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    swept = ["experiment=fixed_temperature", "--multirun", "objective.temperature.tau=0.2,0.4"]
    _train(monkeypatch, *swept, "encoder.output_dim=3", "trainer.max_epochs=1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runs = read_runs(tmp_path / "outputs", ["fixed_temperature"])["smoke"]
    assert runs.settings("fixed_temperature", "objective.temperature.tau") == [0.2, 0.4]
    assert runs.departures == {"fixed_temperature": "trainer.max_epochs=1"}


def test_the_described_runs_are_those_of_the_file() -> None:
    described = described_runs("temperature", "laptop")
    assert len(described.runs) == 8  # two data sets, four temperatures
    kinds = {run["objective"]["temperature"]["_target_"].rpartition(".")[2] for run in described.runs}
    assert len(kinds) == 4
    assert described.swept == {}
    assert {run["replicates"] for run in described.runs} == {8}
    noise = described_runs("information", "laptop")
    assert noise.swept == {"data.noise": [0.03, 0.1, 0.3, 1.0, 3.0]}
    assert len(noise.runs) == 1
    paper = described_runs(EXPERIMENT, "paper").runs[0]
    assert (paper["replicates"], paper["trainer"]["max_epochs"]) == (50, 800)
