"""Lock a run folder, so that two processes never write it at once."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from intrinsic_clip.errors import InUse
from intrinsic_clip.runs.atomic import make_folder, naming

LOCK = "lock"
LONGEST = 200  # characters of a lock's text that a message repeats


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made if need be; the first process of a DDP run holds it for all.

    The kernel releases the lock of any process that ends. A crash leaves only a file behind, and the
    next start takes it over.

    Raises:
        InUse: another process holds it.
        OSError: the folder cannot be written.
    """
    from pytorch_lightning.utilities import rank_zero_only

    make_folder(folder)  # by any process: another than the first may come here before it
    if getattr(rank_zero_only, "rank", 0):
        yield
        return
    path = folder / LOCK
    lock = FileLock(path, timeout=0.5)  # for a process that is just ending
    try:
        lock.acquire()
    except Timeout:
        raise InUse(f"{folder}: {_holder(path)}; wait for it or stop it") from None
    try:
        with naming(path):
            path.write_text(f"process {os.getpid()} on {socket.gethostname()} trains this run since {_now()}")
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held, so that a process that waits opens a new file
        lock.release()


def left_behind(folder: Path) -> bool:
    """Return whether a process began this run and still trains it, or died before it finished or failed."""
    return (folder / LOCK).exists()


def clear_left_behind(folder: Path) -> None:
    """Remove the lock of a process that died after its last write; one that is held, or cannot be removed, stays."""
    path = folder / LOCK
    if not path.is_file():
        return
    with suppress(OSError, Timeout), FileLock(path, timeout=0):
        path.unlink(missing_ok=True)


def _holder(path: Path) -> str:
    text = ""
    with suppress(OSError):
        text = path.read_text(errors="replace")
    plain = "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
    return plain[:LONGEST] or "another process trains this run"


def _now() -> str:
    return datetime.now().isoformat(" ", timespec="minutes")
