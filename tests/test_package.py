"""Build the distributions, install the wheel into an environment of its own and use it in an empty folder."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import intrinsic_clip
from helpers.tiny_runs import TINY

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def run(*command: str | Path, folder: Path = ROOT) -> str:
    """Run a command without the checkout on its path; return its output, and show it where the command fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    completed = subprocess.run(
        [str(part) for part in command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory) -> dict[str, Path]:
    """Build the wheel and the source distribution; return their paths by suffix."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder)
    return {
        "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix: path
        for path in folder.iterdir()
    }


@pytest.fixture(scope="module")
def installed(distributions, tmp_path_factory) -> Path:
    """Install the wheel into a fresh environment that borrows the dependencies; return its program.

    A .pth file adds the running environment's packages after the wheel's own, so the wheel comes first.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    python = folder / "bin" / "python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    install = ["-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    run(sys.executable, *install, distributions[".whl"])
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    place = run(python, "-c", "import intrinsic_clip; print(intrinsic_clip.__file__)", folder=folder)
    assert Path(place.strip()).is_relative_to(packages)
    return folder / "bin" / "intrinsic-clip"


@pytest.mark.long
def test_descriptions_are_valid_for_a_registry(distributions) -> None:
    assert set(distributions) == {".whl", ".tar.gz"}
    run(sys.executable, "-m", "twine", "check", "--strict", *distributions.values())


def test_the_wheel_holds_the_package_its_settings_and_the_hydra_plugins(distributions) -> None:
    with zipfile.ZipFile(distributions[".whl"]) as wheel:
        names = wheel.namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"intrinsic_clip", "hydra_plugins"}
    for path in ("intrinsic_clip/py.typed", "intrinsic_clip/conf/train.yaml"):
        assert path in names
    packaged = {
        name.removeprefix("intrinsic_clip/") for name in names if name.startswith("intrinsic_clip/conf/")
    }
    assert packaged == {str(path.relative_to(ROOT)) for path in (ROOT / "conf").rglob("*.yaml")}
    assert any(name.startswith("hydra_plugins/intrinsic_clip_sweeps/") for name in names)
    assert not [name for name in names if "__pycache__" in name]


def test_the_source_distribution_holds_what_its_own_tests_and_pages_need(distributions) -> None:
    with tarfile.open(distributions[".tar.gz"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {"README.md", "CHANGELOG.md", "CITATION.cff", "Makefile", "Dockerfile", "docs/conf.py"}
    assert expected <= names
    assert not [name for name in names if name.startswith(("docs/_build", "outputs/"))]


def test_the_installed_program_names_its_version_and_its_verbs(installed, tmp_path) -> None:
    assert run(installed, "--version", folder=tmp_path).strip() == intrinsic_clip.__version__
    for verb in ("train", "figures"):
        assert f"intrinsic-clip {verb}" in run(installed, verb, "--help", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_the_installed_program_trains_in_an_empty_folder(installed, tmp_path) -> None:
    run(installed, "train", "launcher=in_process", "--multirun", *TINY, "seed=0,1", folder=tmp_path)
    assert len(list(tmp_path.glob("outputs/custom/*/results.json"))) == 2
