"""The group `objective` was called `loss`: its old name still works."""

import json

import pytest

from intrinsic_clip.cli.overrides import Commas, for_hydra
from intrinsic_clip.runs import results
from intrinsic_clip.runs.sealed import write_sealed


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        ("loss=infonce", "objective=infonce"),
        ("loss/similarity=cosine", "objective/similarity=cosine"),
        ("+loss.temperature.tau=0.1", "+objective.temperature.tau=0.1"),
        ("~loss.temperature", "~objective.temperature"),
        ("lossless=1", "lossless=1"),
        ("data.loss=1", "data.loss=1"),
    ],
)
def test_the_command_line_takes_the_earlier_name(typed: str, given: str) -> None:
    assert for_hydra([typed], Commas.TEXT) == [given]


def test_results_of_earlier_versions_have_their_objective_under_its_present_name(tmp_path) -> None:
    config = {"name": "a", "loss": {"chunk": None, "similarity": {"_target_": "x.CosineSimilarity"}}}
    content = {"status": "completed", "config": config, "address": "a", "files": {}}
    folder = tmp_path / "a"
    folder.mkdir()
    write_sealed(folder / "results.json", content)
    read = results.read_completed(folder)
    assert read is not None
    assert read["config"] == {"name": "a", "objective": config["loss"]}
    assert "loss" in json.loads((folder / "results.json").read_text())["config"]  # the file stays as it is
