"""Write files so that the old one or the whole new one is there, whatever happens."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Either the old file or the whole new one is there, whatever happens.

    Raises:
        OSError: with the file's name, also where the disk is full.
    """
    unfinished = path.with_name(path.name + ".tmp")
    with naming(path):
        try:
            with unfinished.open("wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have an OSError name the file; the system itself does so only when one is opened."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
