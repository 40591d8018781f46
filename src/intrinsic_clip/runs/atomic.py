"""Write files in one step, whatever else writes them and whenever the machine stops, and have errors name them."""

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import BinaryIO

UNFINISHED = ".tmp"  # end of the name of a file that is not whole yet
LONGEST = 200  # bytes of the name that such a file repeats; file systems allow 255 in all


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file in one step: the old or the complete new one exists at any time, also after a power cut.

    Any number of processes may write the same file: each writes a temporary file of its own beside it, and the last
    to finish wins. The file keeps its permissions, and a symbolic link its target. A device, a terminal or a pipe
    (`/dev/stdout`) is written into instead of replaced.

    Raises:
        OSError: the file cannot be written, or the disk is full; it names the file.
    """
    data = content.encode() if isinstance(content, str) else content
    with naming(path):
        mode = _mode(path)
        if mode is not None and not stat.S_ISREG(mode):
            _write_into(path, data, mode)
            return
        with _replacing(_target(path, mode), mode) as file:
            file.write(data)


def make_folder(folder: Path) -> None:
    """Make a folder with its parents, and have their names on the disk before anything is written below them.

    Raises:
        OSError: the folder cannot be made.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # some network file systems cannot do it for folders
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have an OSError name the file, as the system does only when a file is opened."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _mode(path: Path) -> int | None:
    """Return type and permissions of a file, links followed; None if there is none."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Open a file for content that comes in parts; it takes its place when the block ends without an error.

    Raises:
        OSError: the file cannot be written, or is no regular one; it names the file.
    """
    with naming(path):
        mode = _mode(path)
        if mode is not None and not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "is not a regular file")
        target = _target(path, mode)
    unfinished = os.fspath(target.parent / _stem(target))
    try:
        with _replacing(target, mode) as file:
            yield file
    except OSError as error:
        if error.filename is not None and not str(error.filename).startswith(unfinished):
            raise  # of another file, which the content comes from
        raise OSError(error.errno, error.strerror, str(path)) from error


def _target(path: Path, mode: int | None) -> Path:
    """Return the file to replace, links followed, without what killed processes left beside it."""
    target = Path(os.path.realpath(path))
    if mode is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "Permission denied")  # renaming would replace it all the same
    _remove_abandoned(target)
    return target


@contextmanager
def _replacing(target: Path, mode: int | None) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces the target in one step when the block ends without an error."""
    unfinished, descriptor = _open_unfinished(target)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(descriptor, stat.S_IMODE(mode))
            yield file
            file.flush()
            os.fsync(descriptor)
            os.replace(unfinished, target)
    except BaseException:  # Ctrl-C as well
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def _open_unfinished(target: Path) -> tuple[Path, int]:
    """Make a temporary file beside the target, under a name of its own, and lock it while this process writes it."""
    while True:
        unfinished = target.with_name(f"{_stem(target)}{secrets.token_hex(6)}{UNFINISHED}")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with suppress(OSError):  # a file system without locks: then nothing is ever removed as abandoned
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return unfinished, descriptor
        os.close(descriptor)  # another process took it for abandoned before it was locked


def _remove_abandoned(target: Path) -> None:
    """Remove the temporary files of this target that processes left which were killed: nobody locks them."""
    for unfinished in target.parent.glob(f"{escape(_stem(target))}*{UNFINISHED}"):
        with suppress(OSError), unfinished.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unfinished.unlink()


def _stem(target: Path) -> str:
    """Return the beginning of the names of a target's temporary files."""
    name = os.fsencode(target.name)[:LONGEST].decode(errors="ignore")  # without bytes that are not UTF-8
    return f".{name}."


def _write_into(path: Path, data: bytes, mode: int) -> None:
    """Write into what is no regular file, without waiting for a reader that may never come."""
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "Is a directory")
    if stat.S_ISBLK(mode):
        raise PermissionError(errno.EPERM, "Is a disk, which is not written to")
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
