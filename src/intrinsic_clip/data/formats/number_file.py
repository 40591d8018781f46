"""Open a temporary file for the numbers of a file that is slow to read."""

import shutil
import tempfile
from typing import IO

from intrinsic_clip.data.formats.decisions import print_decisions
from intrinsic_clip.errors import ConfigError

GB = 10**9


def number_file(source: str, size: int) -> IO[bytes]:
    """Open a file without a name, which is gone when nothing reads it any more, however the program ends.

    Args:
        source: the file whose numbers it is for; what is decided is printed under this name.
        size: bytes that it will hold.

    Raises:
        ConfigError: the disk has not that many bytes.
    """
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ConfigError(
            f"its numbers take {size / GB:.3g} GB in a temporary file, and {folder} has {free / GB:.3g} GB free; "
            "TMPDIR=FOLDER names another folder"
        )
    print_decisions(
        source,
        [
            f"its numbers, {size / GB:.2g} GB, go to a temporary file in {folder} (TMPDIR=FOLDER names another)"
        ],
    )
    return tempfile.TemporaryFile(dir=folder)
