"""Record which files and folders Python opens."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_EVENTS = ("open", "os.listdir", "os.scandir")
_recordings: list[list[str]] = []


def _record(event: str, arguments: tuple[Any, ...]) -> None:
    if _recordings and event in _EVENTS:
        _recordings[-1].append(str(arguments[0]))


sys.addaudithook(_record)  # a hook cannot be removed: outside `opened_files` it records nothing


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """Collect the paths of all files opened and folders listed in the block."""
    paths: list[str] = []
    _recordings.append(paths)
    try:
        yield paths
    finally:
        _recordings.remove(paths)
