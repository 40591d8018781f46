"""Print what was decided about a file, where the numbers that come of it are printed later or not at all."""

import sys
from collections.abc import Sequence

from tqdm import tqdm

from intrinsic_clip.data.main_process import is_main_process


def print_decisions(source: str, notes: Sequence[str]) -> None:
    """Print one line per note on the standard error of the main process, above a progress bar if there is one."""
    if not is_main_process():
        return
    for note in notes:
        tqdm.write(f"{source}: {note}", file=sys.stderr)
