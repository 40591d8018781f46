"""Check the Dockerfile without a container engine: inputs, versions and entry point.

Building the image is not tested here; docs/how-to/containers.md says when and how it was built and run.
"""

import fnmatch
import importlib.util
import re
import runpy
import sys
import tomllib
from pathlib import Path

import pytest

from intrinsic_clip.config.folders import conf_folder

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
IGNORED = (ROOT / ".dockerignore").read_text().splitlines()
NEEDS_FILES = {"citeseq", "citeseq_transformer", "imagenetv2", "yfcc", "ladder", "ladder_icons"}


@pytest.fixture
def reproduce():
    spec = importlib.util.spec_from_file_location("reproduce", ROOT / "docker" / "reproduce.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def copied() -> set[str]:
    """Return the files and folders that the Dockerfile copies from the checkout."""
    lines = re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
    return {source for line in lines for source in line.split()[:-1]}


def build_inputs() -> set[str]:
    """Return the files and folders that pyproject.toml needs to build the wheel."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    build = project["tool"]["hatch"]
    wheel = build["build"]["targets"]["wheel"]
    inputs = {
        "pyproject.toml",
        project["project"]["readme"],
        *project["project"]["license-files"],
        build["version"]["path"],
        *wheel["packages"],
        *wheel["force-include"],
    }
    return {path.split("/")[0] for path in inputs}


def test_every_copied_path_exists() -> None:
    for source in copied():
        assert (ROOT / source).exists(), source


def test_the_image_can_build_the_wheel_from_what_is_copied() -> None:
    assert build_inputs() <= copied()
    assert "constraints.txt" in copied()


def test_the_ignore_file_admits_what_is_copied_and_nothing_else() -> None:
    """A path that is not admitted ends `docker build` with "not found"; more than those would slow every build."""
    first, *exceptions = [line for line in IGNORED if line and not line.startswith("#")]
    assert first == "*"
    admitted = {line.removeprefix("!") for line in exceptions if line.startswith("!")}
    assert admitted == {source.split("/")[0] for source in copied()}


def test_versions_are_those_of_the_lock_file() -> None:
    """Check that the lock file constrains each `pip install`, and that none names a version of its own."""
    assert "PIP_CONSTRAINT=/build/constraints.txt" in DOCKERFILE
    assert re.search(r"^WORKDIR /build$", DOCKERFILE, re.MULTILINE)
    installs = re.findall(r"pip install (.*?)(?:&&|$)", DOCKERFILE, re.MULTILINE)
    assert len(installs) == 3
    assert not re.search(r"[=<>~]=", "".join(installs))
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    assert {"torch", "torchvision"} <= locked


def test_base_and_user() -> None:
    assert re.search(r"^ARG BASE=\S+:\d+\.\d+\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${BASE}"}
    user = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
    assert user
    assert user[-1] not in ("root", "0")


def test_the_default_command_runs_what_that_of_the_results_page_does(reproduce) -> None:
    (verb, sweep, experiments, size), figures = reproduce.SMOKE
    assert (verb, sweep, size, figures) == ("train", "--multirun", "size=smoke", ["figures"])
    assert (conf_folder() / "size" / "smoke.yaml").exists()
    excluded = re.fullmatch(r"experiment=glob\(\*,exclude=\[(.*)\]\)", experiments)[1].split(",")
    available = {path.stem for path in (conf_folder() / "experiment").glob("*.yaml")}
    left_out = {name for name in available if any(fnmatch.fnmatchcase(name, pattern) for pattern in excluded)}
    assert left_out >= NEEDS_FILES | {"demo", "openclipart_pixels"}
    page = (ROOT / "docs" / "results.md").read_text()
    assert f"--multirun '{experiments}' size=" in page
    for pattern in excluded:
        assert fnmatch.filter(available, pattern), f"{pattern} leaves nothing out"


@pytest.mark.parametrize(
    ("arguments", "verbs"),
    [([], ["train", "figures"]), (["train", "seed=1"], ["train"]), (["--help"], ["--help"])],
)
def test_the_image_runs_its_arguments_or_else_all_figures(monkeypatch, arguments, verbs) -> None:
    commands = []
    monkeypatch.setattr("intrinsic_clip.cli.program.main", lambda: commands.append(sys.argv[1:]))
    monkeypatch.setattr(sys, "argv", ["reproduce.py", *arguments])
    runpy.run_path(str(ROOT / "docker" / "reproduce.py"), run_name="__main__")
    assert [command[0] for command in commands] == verbs
    assert not arguments or commands == [arguments]
