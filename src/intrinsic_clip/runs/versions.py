"""Report the versions and the commit that a run was made with."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from intrinsic_clip import __version__


def versions(
    packages: Iterable[str] = ("torch", "pytorch-lightning", "hydra-core", "wandb", "numpy"),
) -> dict[str, str | None]:
    """Return the versions of this package, of Python and of its main dependencies, and the commit where it is known."""
    installed = {package: _version(package) for package in ("intrinsic-clip", *packages)}
    return installed | {"python": platform.python_version(), "commit": _commit()}


def other_code(made: Mapping[str, Any]) -> str | None:
    """Return with which code results were made, if it is, or may be, another than the present, else None.

    A commit with the same files of the package as now is the same code. Without a commit, versions are compared.

    Args:
        made: the versions and the commit in results.json.
    """
    then, now = made.get("commit"), _commit()
    if then and now:
        if not then.endswith("+") and (then == now or _has_present_source(then)):
            return None
        then, now = (commit[:7] + "+" * commit.endswith("+") for commit in (then, now))
        uncommitted = " (+: with uncommitted changes)" if "+" in then + now else ""
        return f"made with the code of commit {then}, now it is {now}{uncommitted}"
    then, now = made.get("intrinsic-clip"), _version("intrinsic-clip")
    return None if then in (None, now) else f"made with the code of version {then}, now it is {now}"


def _has_present_source(commit: str) -> bool:
    """Return whether the package's files are those of a commit of the checkout."""
    source = Path(__file__).resolve().parent.parent
    differs = ["git", "-C", str(source), "diff", "--quiet", commit, "--", str(source)]
    return subprocess.run(differs, capture_output=True).returncode == 0


def _version(package: str) -> str | None:
    """Return the version of an installed package; this one may also lie on the path without being installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return __version__ if package == "intrinsic-clip" else None


def _commit() -> str | None:
    """Return the commit of the source tree, `+` after it where files differ from it.

    Outside a checkout, as in the container image, it is the value of INTRINSIC_CLIP_COMMIT, or None.
    """
    return _commit_of_checkout() or os.environ.get("INTRINSIC_CLIP_COMMIT") or None


def _commit_of_checkout() -> str | None:
    source = Path(__file__).resolve().parent
    git = ["git", "-C", str(source)]
    try:
        tracked = subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True)
        if tracked.returncode:
            return None
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True
        ).stdout
    except OSError:
        return None
    return head + ("+" if changed else "") if head else None
