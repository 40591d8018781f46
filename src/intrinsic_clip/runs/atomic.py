"""Write files in one step, and have errors name them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file in one step: so that the old or the complete new one exists at any time.

    Raises:
        OSError: the file cannot be written, or the disk is full; it names the file.
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
    """Have an OSError name the file, as the system does only when a file is opened."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
