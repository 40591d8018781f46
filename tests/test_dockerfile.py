"""The Dockerfile, without an engine: what it copies exists and is let through, and what it runs exists.

Whether the image builds and runs is not seen here; the README says when that was tried.
"""

import fnmatch
import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

from intrinsic_clip.config.folders import conf_folder

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
NEEDS_FILES = {"citeseq", "citeseq_transformer", "imagenetv2", "yfcc"}


@pytest.fixture
def reproduce():
    spec = importlib.util.spec_from_file_location("reproduce", ROOT / "docker" / "reproduce.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def copied() -> list[str]:
    """What the Dockerfile takes from the checkout."""
    lines = re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def let_through(path: str) -> bool:
    """Whether .dockerignore lets a file into the image: of the patterns that match it or a folder above, the last."""
    parts = path.split("/")
    above = ["/".join(parts[: i + 1]) for i in range(len(parts))]
    there = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        anywhere = pattern.removeprefix("**/")
        names = parts if anywhere != pattern else [p for p in above if p.count("/") == pattern.count("/")]
        if not line.startswith("#") and any(fnmatch.fnmatchcase(name, anywhere) for name in names):
            there = line.startswith("!")
    return there


def tracked() -> list[str]:
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a checkout")
    return listed.stdout.splitlines()


def test_what_is_copied_is_there_and_let_through() -> None:
    assert {"src", "conf", "constraints.txt", "pyproject.toml"} <= set(copied())
    for source in copied():
        assert (ROOT / source).exists(), source
        assert let_through(source), source


def test_the_ignore_file_lets_through_what_the_wheel_needs_and_no_more() -> None:
    needed = [
        path for path in tracked() if path.startswith(("src/", "conf/")) or path.endswith("figures/style.py")
    ]
    assert len(needed) > 100
    assert [path for path in needed if not let_through(path)] == []
    rest = [
        path
        for path in tracked()
        if let_through(path) and not any(f"{path}/".startswith(f"{source}/") for source in copied())
    ]
    assert rest == []
    for path in (".git/HEAD", "tests/conftest.py", "outputs/custom/a/last.ckpt", ".venv/bin/python"):
        assert not let_through(path)
    assert not let_through("src/intrinsic_clip/__pycache__/program.cpython-311.pyc")
    assert not let_through("docs/results/synthetic_linear.png")


def test_versions_are_those_of_the_lock_file() -> None:
    """Every `pip install` is held to it, and none names a version of its own."""
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


def test_the_default_command_runs_every_experiment_that_needs_no_files(reproduce) -> None:
    (verb, sweep, experiments, size), figures = reproduce.SMOKE
    assert (verb, sweep, size, figures) == ("train", "--multirun", "size=smoke", ["figures"])
    assert (conf_folder() / "size" / "smoke.yaml").exists()
    excluded = re.fullmatch(r"experiment=glob\(\*,exclude=\[(.*)\]\)", experiments)[1].split(",")
    there = {path.stem for path in (conf_folder() / "experiment").glob("*.yaml")}
    left_out = {name for name in there if any(fnmatch.fnmatchcase(name, pattern) for pattern in excluded)}
    assert left_out == NEEDS_FILES | {"demo", "openclipart_pixels"}
    for pattern in excluded:
        assert fnmatch.filter(there, pattern), f"{pattern} leaves nothing out"


@pytest.mark.parametrize(
    ("given", "run"),
    [([], ["train", "figures"]), (["train", "seed=1"], ["train"]), (["--help"], ["--help"])],
)
def test_what_the_image_runs(monkeypatch, given, run) -> None:
    import runpy
    import sys

    commands = []
    monkeypatch.setattr("intrinsic_clip.cli.program.main", lambda: commands.append(sys.argv[1:]))
    monkeypatch.setattr(sys, "argv", ["reproduce.py", *given])
    runpy.run_path(str(ROOT / "docker" / "reproduce.py"), run_name="__main__")
    assert [command[0] for command in commands] == run
    assert not given or commands == [given]
