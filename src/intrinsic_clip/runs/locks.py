"""Two processes never write one run folder: whoever trains it holds its lock."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from intrinsic_clip.errors import InUse
from intrinsic_clip.runs.atomic import naming

LOCK = "lock"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder, which is made if need be; of the processes of a DDP run, the first holds it for all.

    The kernel drops the lock of a process that dies, however it dies, so what a crash leaves is only a file,
    and the next start takes it over.

    Raises:
        InUse: where another process holds it.
        OSError: where the folder cannot be written.
    """
    from pytorch_lightning.utilities import rank_zero_only

    if getattr(rank_zero_only, "rank", 0):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    lock = FileLock(path, timeout=0.5)  # time for one that is just ending
    try:
        lock.acquire()
    except Timeout:
        raise InUse(f"{folder}: {_holder(path)}; wait for it or stop it") from None
    try:
        with naming(path):
            path.write_text(f"process {os.getpid()} on {socket.gethostname()} trains this run since {_now()}")
        yield
    finally:
        path.unlink(missing_ok=True)  # still held: who waits on a file without a name looks for a new one
        lock.release()


def left_behind(folder: Path) -> bool:
    """Whether a process began this run and neither finished nor failed, but died, or still trains it."""
    return (folder / LOCK).exists()


def _holder(path: Path) -> str:
    text = ""
    with suppress(OSError):
        text = path.read_text()
    return text or "another process trains this run"


def _now() -> str:
    return datetime.now().isoformat(" ", timespec="minutes")
