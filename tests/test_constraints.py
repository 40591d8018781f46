"""The locked versions can be installed with each Python that the package is for."""

import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]


def test_locked_versions_take_the_oldest_python() -> None:
    """pip on Python 3.11.2, which Debian 12 has, refused a version that needs 3.11.5."""
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    oldest = supported.removeprefix(">=") + ".0"
    locked = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    refusing, seen = {}, 0
    for name, version in locked.items():
        try:
            found = metadata(name)
        except PackageNotFoundError:  # of another platform
            continue
        if found["Version"] != version:  # an environment of the user's own
            continue
        seen += 1
        if not SpecifierSet(found["Requires-Python"] or "").contains(oldest):
            refusing[name] = found["Requires-Python"]
    assert not refusing
    assert SpecifierSet(supported).contains(oldest)
    assert seen > 0.5 * len(locked)
