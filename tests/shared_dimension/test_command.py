"""`intrinsic-clip shared` as a user meets it: written once, read the second time, and one line for bad input."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.shared_worlds import tanh_world
from helpers.tiny_runs import files_below
from intrinsic_clip.reports.shared_printout import printout
from intrinsic_clip.shared_dimension import command, verdict
from intrinsic_clip.shared_dimension.stages import FIRST, SHUFFLED, Stages

FAST = ["steps=40", "trainings=2", "threads=1", "progress=false"]


@pytest.fixture
def views() -> None:
    """Write x.npy and y.npy with 300 pairs of different widths."""
    x, y = tanh_world(2, n=300)
    np.save("x.npy", x.numpy())
    np.save("y.npy", y.numpy()[:, :9])


def test_the_second_time_it_is_read(command_line, capsys, monkeypatch, tmp_path, views) -> None:
    assert command_line("shared", "x=x.npy", "y=y.npy", *FAST) == 0
    first = capsys.readouterr().out
    assert "300 pairs: x 12-d (x.npy), y 9-d (y.npy)" in first
    for line in (
        "shared dimensions: ",
        "  held-out matching ",
        "  rank of CCA, permutation test ",
        "advice: ",
    ):
        assert line in first
    (folder,) = tmp_path.glob("outputs/shared/*")
    assert sorted(path.name for path in folder.iterdir()) == ["shared.html", "shared.json", "shared.png"]
    content = json.loads((folder / "shared.json").read_text())
    assert content["status"] == "completed"
    assert len(content["ratios"]["both"]) == 22
    monkeypatch.setattr("intrinsic_clip.shared_dimension.estimate.shared", None)
    assert command_line("shared", "x=x.npy", "y=y.npy", *FAST, "threads=2") == 0
    assert capsys.readouterr().out == f"Done already.\n\n{first}"
    (folder / "shared.html").unlink()
    (folder / "pairs.training.json").write_text(
        "left by a process that was killed after its numbers were written"
    )
    assert command_line("shared", "x=x.npy", "y=y.npy", *FAST) == 0
    capsys.readouterr()
    assert sorted(path.name for path in folder.iterdir()) == ["shared.html", "shared.json", "shared.png"]
    page = (folder / "shared.html").read_text()
    for part in (
        "Other methods",
        "held-out matching",
        "ratio, both",
        "color-scheme",
        "advice: ",
        "trainings",
    ):
        assert part in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    damaged = (folder / "shared.json").read_text().replace('"seed": 0', '"seed": 1')
    (folder / "shared.json").write_text(damaged)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert command_line("shared", "x=x.npy", "y=y.npy", *FAST) == 0
    assert "damaged (its checksum differs); estimated anew" in capsys.readouterr().out


def test_views_that_change_while_they_are_estimated_are_told(
    command_line, capsys, monkeypatch, tmp_path, views
) -> None:
    estimated = command._load_and_estimate

    def changing(*arguments):
        found = estimated(*arguments)
        np.save("x.npy", np.load("x.npy")[::-1])
        return found

    monkeypatch.setattr(command, "_load_and_estimate", changing)
    assert command_line("shared", "x=x.npy", "y=y.npy", *FAST) == 2
    assert "a file changed while it was measured, so nothing is written" in capsys.readouterr().err
    assert not list(tmp_path.glob("outputs/shared/*/shared.*"))


def test_files_of_the_same_content_are_called_as_they_are_given(command_line, capsys, views) -> None:
    settings = ["y=y.npy", "steps=20", "trainings=1", "alternatives=false", "progress=false"]
    assert command_line("shared", "x=x.npy", *settings) == 0
    Path("x.npy").rename("copy.npy")
    capsys.readouterr()
    assert command_line("shared", "x=copy.npy", *settings) == 0
    said = capsys.readouterr().out
    assert said.startswith(
        "Done already, as x=x.npy of the same content.\n\n300 pairs: x 12-d (copy.npy), y 9-d"
    )


@pytest.mark.parametrize(
    ("stage", "state"),
    [
        (SHUFFLED, "nothing was written"),
        (FIRST, "the same command continues behind the last finished training"),
    ],
)
def test_ctrl_c_says_whether_the_same_command_continues(
    command_line, capsys, monkeypatch, tmp_path, views, stage, state
) -> None:
    def interrupted_in_stage(stages: Stages, label: str, *arguments: Any) -> Any:
        if label == stage:
            raise KeyboardInterrupt
        return train(stages, label, *arguments)

    train = Stages._train
    monkeypatch.setattr(Stages, "_train", interrupted_in_stage)
    before = files_below(tmp_path)
    assert command_line("shared", "x=x.npy", "y=y.npy", *FAST) == 130
    assert f"Interrupted; {state}." in capsys.readouterr().err
    assert (files_below(tmp_path) == before) == (state == "nothing was written")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to compare: give x=FILE y=FILE, or data=…"),
        (["x=x.npy"], "x: needs y=…, its partners, which is missing"),
        (["y=y.npy"], "y: needs x=…, which is missing"),
        (["x=x.npy", "y=y.npy", "data=openclipart"], "x and data: give one of them, not 2"),
        (["x=x.npy", "y=few.npy"], "x has 300 rows, y has 50 rows; row i of each must belong together"),
        (["x=few.npy", "y=few.npy"], "50 pairs are too few; shared needs at least 100"),
        (["x=odd.npy", "y=few.npy"], "; nan=drop leaves 40 rows, but shared needs at least 100"),
        (["x=odd.npy", "y=few.npy", "nan=drop"], "; nan=drop leaves 40 rows, but shared needs at least 100"),
        (["x=x.npy", "y=ones.npy"], "y: every column is constant"),
        (["x=x.npy", "y=y.npy", "budget=0"], "budget: input should be greater than 0"),
        (["x=x.npy", "y=y.npy", "step=7"], "step: unknown key, did you mean steps?"),
        (["x=x.npy", "y=y.npy", "-m"], "--multirun: shared estimates one thing at a time"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    command_line, capsys, tmp_path, views, arguments, message
) -> None:
    np.save("few.npy", np.random.default_rng(0).normal(size=(50, 3)))
    np.save("odd.npy", np.where(np.arange(50)[:, None] < 10, np.nan, np.load("few.npy")))
    np.save("ones.npy", np.ones((300, 3)))
    before = files_below(tmp_path)
    assert command_line("shared", *arguments, *FAST) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert files_below(tmp_path) == before


ESTIMATED = {
    "config": {"data": None, "x": "a.npy", "y": "b.npy"},
    "dims": {"x": 40, "y": 30},
    "n": 8000,
    "interval": [3, 4],
    "agreement": 0.96,
    "sides": {"x": 3, "y": None},
    "effective": 11,
    "matching": {"top_1": 0.18, "chance": 0.000625, "pairs": 1600, "p_value": 0.0005, "information": 4.0, "tau": 0.02},
    "threshold": 1.2,
    "null_gap": 1.07,
    "seconds": {"pairs": 40.0},
    "trainings": 6,
    "alternatives": [],
    "notes": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("dimension", "text", "advice"),
    [
        (3, "3 (gap 2.8; the next 1.1; shuffled pairs 1.1)", "d = 4 holds 3 shared dimensions"),
        (None, "no clear gap: the spectrum decays; 90 % of its weight in 11", "no single d is right"),
        (
            0,
            "nothing is found to be shared: held-out matching is not above chance at the level 0.005 (p = 0.4)",
            "no d is known to help",
        ),
    ],
)
def test_printout_says_the_verdict_and_its_advice(dimension, text, advice) -> None:
    estimated = {**ESTIMATED, "dimension": dimension, "text": text}
    shown = printout({**estimated, "advice": verdict.advice(estimated)}, Path())
    assert f"shared dimensions: {text}" in shown
    assert f"advice: {advice}" in shown
    assert "8,000 pairs" in shown.partition("advice: ")[2]


def test_printout_says_notes_and_that_information_saturates() -> None:
    matching = {**ESTIMATED["matching"], "information": 6.9, "ceiling": 6.91, "saturates": True}
    others = [
        {"name": "cca", "title": "rank of CCA", "value": 3, "note": None},
        {"name": "joint_mle", "title": "joint", "value": None, "note": "6.8, but shuffled pairs give 5.5"},
    ]
    estimated = {**ESTIMATED, "matching": matching, "alternatives": others, "dimension": 3, "text": "3"}
    shown = printout({**estimated, "advice": verdict.advice(estimated)}, Path())
    assert "InfoNCE at τ = 0.02; saturates at 6.91, the log of the pairs compared)" in shown
    assert "rank of CCA  3\n" in shown
    assert "joint        – (6.8, but shuffled pairs give 5.5)" in shown
