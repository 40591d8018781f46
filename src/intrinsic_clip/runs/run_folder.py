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
    try:
        Run.load(folder)
    except Unfinished as error:
        raise ConfigError(f"run={folder}: {_reason(folder, str(error))}") from error


def _reason(folder: str, of_run: str) -> str:
    """Return why a folder holds no finished run, given what reading it as one said, and what would be right."""
    if not os.path.isdir(folder):
        return f"{of_run}; {WANTED}"
    inside = sorted(path.parent for path in Path(folder).glob(f"*/{RESULTS}"))
    if inside and not (Path(folder) / RESULTS).exists():
        return f"a folder of {len(inside)} runs; give one of them, such as {inside[0]}"
    empty = not (Path(folder) / CONFIG).exists() and of_run == "unfinished"
    return f"{'holds no run' if empty else f'not a finished run ({of_run})'}; {WANTED}"
