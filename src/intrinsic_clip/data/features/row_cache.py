"""Arrays of rows that take long to compute: written batch by batch into memory-mapped files, and never twice."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from filelock import FileLock
from numpy.lib.format import open_memmap
from torch import Tensor
from tqdm import tqdm

from intrinsic_clip.runs.atomic import naming, write_atomically

SAVE_SECONDS = 5.0  # what a kill may cost
PROGRESS, LOCK = "progress.json", "lock"

Compute = Callable[[int, int], tuple[Tensor, Tensor]]


def load_or_compute_rows(
    folder: Path, rows: int, batch_size: int, compute: Callable[[], Compute], what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Two float32 arrays with `rows` rows, mapped from x.npy and y.npy; changes to them stay in memory.

    A process that was killed is continued where it last saved; one that comes while another computes waits for it.

    Args:
        folder: of the files, which stands for what they hold; made if need be.
        rows: how many there are.
        batch_size: rows to compute at once.
        compute: gives the function from `start, stop` to those rows of both; called only where rows are missing.
        what: is computed, for the progress bar.

    Raises:
        OSError: where the folder cannot be written.
    """
    if _done(folder, rows) < rows:
        begun = compute()  # first: what is wrong with a model is told before anything is written
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK):
            if _done(folder, rows) < rows:
                _compute_rest(folder, rows, batch_size, begun, what)
    x, y = (_mapped(folder, name, "c") for name in ("x", "y"))
    return x, y


def _compute_rest(folder: Path, rows: int, batch_size: int, compute: Compute, what: str) -> None:
    done = _done(folder, rows)
    arrays = [_mapped(folder, name, "r+") for name in ("x", "y")] if done else []
    saved_at = time.monotonic()
    # Onto a terminal only: in a log file a bar is noise.
    with tqdm(total=rows, initial=done, desc=what, unit="rows", dynamic_ncols=True, disable=None) as bar:
        for start in range(done, rows, batch_size):
            stop = min(start + batch_size, rows)
            batch = compute(start, stop)
            if not arrays:
                arrays = [
                    _created(folder, name, rows, part) for name, part in zip(("x", "y"), batch, strict=True)
                ]
            for array, part in zip(arrays, batch, strict=True):
                array[start:stop] = part.numpy()
            if stop == rows or time.monotonic() - saved_at >= SAVE_SECONDS:
                _save(folder, arrays, stop)
                saved_at = time.monotonic()
            bar.update(stop - start)


def _done(folder: Path, rows: int) -> int:
    """How many rows are there for good: none where the files are not whole."""
    try:
        done = json.loads((folder / PROGRESS).read_text())["rows"]
        whole = all(len(_mapped(folder, name, "r")) == rows for name in ("x", "y"))
    except (OSError, ValueError, LookupError, TypeError):
        return 0
    return done if whole and isinstance(done, int) and 0 <= done <= rows else 0


def _mapped(folder: Path, name: str, mode: Literal["r", "r+", "c"]) -> np.memmap:
    rows: np.memmap = np.load(folder / f"{name}.npy", mmap_mode=mode, allow_pickle=False)
    return rows


def _created(folder: Path, name: str, rows: int, like: Tensor) -> np.memmap:
    path = folder / f"{name}.npy"
    with naming(path):
        return open_memmap(path, "w+", np.float32, (rows, *like.shape[1:]))


def _save(folder: Path, arrays: list[np.memmap], done: int) -> None:
    """The rows first and then their number, so that no row counts that is not on the disk."""
    for array in arrays:
        array.flush()
    write_atomically(folder / PROGRESS, json.dumps({"rows": done}))
