"""Settings that are given by others or by the environment are filled in, or named."""

import sys

import pytest
from omegaconf import OmegaConf

from helpers.tiny_runs import TINY
from intrinsic_clip.config.resolve import resolve
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.results import read_completed

ONE_EPOCH = [*TINY, "trainer.max_epochs=1", "probes.every_n_epochs=1"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("${oc.env:NOWHERE}", "Environment variable 'NOWHERE' not found"),
        ("${nowhere}", "Interpolation key 'nowhere' not found"),
    ],
)
def test_what_cannot_be_filled_in_is_named(command_line, capsys, value: str, reason: str) -> None:
    for given, key in (({"a": {"b": value}}, "a.b"), ({"a": [1, value]}, "a[1]")):
        with pytest.raises(ConfigError) as error:
            resolve(OmegaConf.create(given))
        assert str(error.value) == f"{key}: {reason}"
    assert command_line("train", *TINY, f"optimizer.lr={value}") == 2
    assert capsys.readouterr().err == f"intrinsic-clip: optimizer.lr: {reason}\n"


@pytest.mark.parametrize("setting", ["optimizer.lr", "seed", "data.n_train"])
def test_a_number_that_came_as_text_says_how_it_becomes_one(
    command_line, monkeypatch, capsys, setting: str
) -> None:
    monkeypatch.setenv("NUMBER", "8")
    assert command_line("train", *TINY, f"{setting}=${{oc.env:NUMBER}}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    number = f"'{setting}=\"${{oc.decode:${{oc.env:NAME}}}}\"'"
    assert line.endswith(f"; it is text, as variables of the environment are, and {number} a number")


@pytest.mark.slow
@pytest.mark.parametrize("sweep", [[], ["seed=3,4", "--multirun"]])
def test_one_setting_can_be_that_of_another(tmp_path, command_line, monkeypatch, sweep: list[str]) -> None:
    """Other processes of a run got what was filled in: null as the text None, and a quoted number as text."""
    monkeypatch.setenv("NUMBER", "0.002")
    number = 'optimizer.lr="${oc.decode:${oc.env:NUMBER}}"'
    given = ["data.n_test=${data.n_append}", "compile=${replicates}", number]
    assert command_line("train", *ONE_EPOCH, *given, *sweep) == 0
    assert set(given) <= set(sys.argv)
    for folder in tmp_path.glob("outputs/custom/*"):
        config = (read_completed(folder) or {})["config"]
        assert (config["data"]["n_test"], config["optimizer"]["lr"]) == (64, 0.002)
