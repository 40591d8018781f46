"""Settings that are given by others or by the environment are filled in, or named."""

import sys

import pytest

from helpers.tiny_runs import TINY
from intrinsic_clip.runs.results import read_completed

ONE_EPOCH = [*TINY, "trainer.max_epochs=1", "probes.every_n_epochs=1"]


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
