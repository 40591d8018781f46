"""Keep files that a verb did not write from being replaced by what it writes."""

import json
from collections.abc import Callable
from pathlib import Path

from intrinsic_clip.errors import ConfigError, system_reason
from intrinsic_clip.reports.page.write import TITLE

HEAD = 8192  # bytes of a page that hold its title


def check_report(path: Path) -> None:
    """Require a name that ends in .html, and a report there if there is anything.

    Raises:
        ConfigError: another ending, or another file.
    """
    _check(path, "output", ".html", "report", is_report)


def check_specification(path: Path) -> None:
    """Require a name that ends in .json, and a dashboard's specification there if there is anything.

    Raises:
        ConfigError: another ending, or another file.
    """
    _check(path, "file", ".json", "specification of a dashboard", is_specification)


def is_report(path: Path) -> bool:
    """Return whether a file begins as the pages of `intrinsic-clip report` do."""
    with path.open("rb") as file:
        head = file.read(HEAD).decode(errors="replace")
    return head.lower().startswith("<!doctype html") and f"{TITLE}</title>" in head


def is_specification(path: Path) -> bool:
    """Return whether a file is a workspace of W&B, such as `intrinsic-clip dashboard` writes."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    spec = content.get("spec") if isinstance(content, dict) else None
    return isinstance(spec, dict) and "section" in spec


def _check(path: Path, option: str, ending: str, kind: str, is_own: Callable[[Path], bool]) -> None:
    setting = f"{option}={path}"
    try:
        if path.exists() and not path.is_file():
            return  # a device or a pipe is written into, and the error of a folder names it
        if path.suffix.lower() != ending:
            raise ConfigError(f"{setting}: must end in {ending}")
        if path.exists() and path.stat().st_size and not is_own(path):
            raise ConfigError(f"{setting}: exists and is no {kind}, so it is not overwritten")
    except OSError as error:
        raise ConfigError(f"{setting}: {system_reason(error)}") from error
