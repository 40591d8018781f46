"""Print what was decided about a file, where the numbers that come of it are printed later or not at all."""

import sys
from collections.abc import Sequence

from pytorch_lightning.utilities import rank_zero_only
from tqdm import tqdm


@rank_zero_only
def print_decisions(source: str, notes: Sequence[str]) -> None:
    """Print one line per note on the standard error of the main process, above a progress bar if there is one."""
    for note in notes:
        tqdm.write(f"{source}: {note}", file=sys.stderr)
