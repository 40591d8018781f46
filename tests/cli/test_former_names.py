"""Test the verb `measure` under its former name, `probe`."""

import numpy as np
import pytest

from helpers.tiny_runs import files_below

NOTICE = "intrinsic-clip: probe is now called measure\n"


@pytest.fixture(autouse=True)
def _points() -> None:
    np.save("x.npy", np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32))


@pytest.mark.slow
def test_the_former_name_measures_and_names_the_new_one(command_line, capsys, tmp_path) -> None:
    settings = ["x=x.npy", "estimators=[mle]", "progress=false", "threads=1"]
    assert command_line("probe", *settings) == 0
    first = capsys.readouterr()
    assert first.err == NOTICE
    assert len(list(tmp_path.glob("outputs/measure/*/measure.json"))) == 1
    assert command_line("measure", *settings) == 0
    second = capsys.readouterr()
    assert second.err == ""
    assert second.out == f"Measured already.\n\n{first.out}"


def test_the_former_name_shows_the_help_of_the_new_one(command_line, capsys) -> None:
    assert command_line("measure", "--help") == 0
    expected = capsys.readouterr().out
    assert command_line("probe", "--help") == 0
    assert capsys.readouterr() == (expected, NOTICE)


def test_bad_input_under_the_former_name_is_one_more_line_and_exit_2(command_line, capsys, tmp_path) -> None:
    before = files_below(tmp_path)
    assert command_line("probe", "x=x.npy", "max_point=5") == 2
    error = capsys.readouterr().err
    assert error == f"{NOTICE}intrinsic-clip: max_point: unknown key, did you mean max_points?\n"
    assert files_below(tmp_path) == before


def test_the_former_name_is_not_listed(command_line, capsys) -> None:
    assert command_line("--help") == 0
    shown = capsys.readouterr().out
    assert "measure" in shown
    assert "probe" not in shown
