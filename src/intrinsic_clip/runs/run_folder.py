"""Say in one line why a folder that a command names is not that of a finished training."""

import os
from pathlib import Path

from intrinsic_clip.errors import ConfigError, Unfinished
from intrinsic_clip.runs.contents import file_digest
from intrinsic_clip.runs.results import CONFIG, RESULTS
from intrinsic_clip.runs.run import Run
from intrinsic_clip.runs.stored_embeddings import EMBEDDINGS

WANTED = "give that of a finished training, such as outputs/demo/0123456789ab"


def run_digest(folder: str) -> str:
    """Return a digest of what a run is measured by, its embeddings.

    Raises:
        ConfigError: there is no finished run in the folder, or it kept no embeddings.
    """
    path = Path(folder) / EMBEDDINGS
    if not os.path.exists(path):  # which takes names that are too long, too
        _refuse(folder)
    return file_digest("run", path)


def _refuse(folder: str) -> None:
    """Refuse a folder without embeddings, unless a finished run just kept none.

    Raises:
        ConfigError: there is no finished run in it.
    """
    if not os.path.isdir(folder):
        kind = "is a file, not a folder" if os.path.exists(folder) else "no such folder"
        raise ConfigError(f"run={folder}: {kind}; {WANTED}")
    inside = sorted(path.parent for path in Path(folder).glob(f"*/{RESULTS}"))
    if inside and not (Path(folder) / RESULTS).exists():
        raise ConfigError(
            f"run={folder}: a folder of {len(inside)} runs; give one of them, such as {inside[0]}"
        )
    try:
        Run.load(folder)
    except Unfinished as error:
        empty = not (Path(folder) / CONFIG).exists() and str(error) == "unfinished"
        reason = "holds no run" if empty else f"not a finished run ({error})"
        raise ConfigError(f"run={folder}: {reason}; {WANTED}") from error
