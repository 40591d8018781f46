"""Refuse as input whatever has no end: pipes, devices, sockets, and what the kernel makes up while it is read."""

import os
import stat
from errno import EINVAL, EISDIR
from functools import cache
from pathlib import Path

KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def require_regular(path: Path) -> os.stat_result:
    """Return the status of a regular file, so that reading it comes to an end.

    Raises:
        OSError: it does not exist, or is something else; `strerror` says what, and `filename` which.
    """
    status = path.stat()
    problem = problem_of(status)
    if problem:
        raise OSError(EISDIR if stat.S_ISDIR(status.st_mode) else EINVAL, problem, str(path))
    return status


def problem_of(status: os.stat_result) -> str | None:
    """Return why something on disk is not read as a file; None for a regular file."""
    if stat.S_ISDIR(status.st_mode):
        return "is a directory, not a regular file"
    kind = KINDS.get(stat.S_IFMT(status.st_mode))
    if kind or status.st_dev in _kernel_devices():
        return f"is {kind or 'made up by the kernel'}, not a regular file"
    return None


def is_made_up(path: Path) -> bool:
    """Return whether the kernel makes up a file while it is read."""
    return path.stat().st_dev in _kernel_devices()


@cache
def _kernel_devices() -> frozenset[int]:
    """Return the numbers of the file systems whose files have no contents of a known size."""
    root = Path("/").stat().st_dev
    numbers = {path.stat().st_dev for path in map(Path, ("/proc", "/sys")) if path.is_dir()}
    return frozenset(numbers - {root})
