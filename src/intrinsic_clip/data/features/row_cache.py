"""Compute arrays of rows once: batch by batch into memory-mapped files, resumable after a kill."""

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
from intrinsic_clip.runs.regular_files import require_regular

SAVE_SECONDS = 5.0  # a kill loses at most as much work
PROGRESS, LOCK = "progress.json", "lock"

Compute = Callable[[int, int], tuple[Tensor, Tensor]]


def load_or_compute_rows(
    folder: Path, rows: int, batch_size: int, prepare: Callable[[], Compute], title: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return two float32 arrays with `rows` rows, mapped from x.npy and y.npy; changes to them stay in memory.

    Rows that are not on disk yet are computed. After a kill the next process resumes from the last save; a process
    that starts while another computes waits for it.

    Args:
        folder: folder of the files, whose name identifies their content; created if missing.
        rows: number of rows.
        batch_size: rows to compute at once.
        prepare: returns the function that computes rows `start` to `stop` of both arrays; called only if rows are
            missing.
        title: title of the progress bar.

    Raises:
        OSError: the folder cannot be written.
    """
    if _count_done(folder, rows) < rows:
        compute = prepare()  # first, so that a model that cannot be loaded leaves no files
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK):
            if _count_done(folder, rows) < rows:
                _compute_missing(folder, rows, batch_size, compute, title)
    x, y = (_mapped(folder, name, "c") for name in ("x", "y"))
    return x, y


def _compute_missing(folder: Path, rows: int, batch_size: int, compute: Compute, title: str) -> None:
    done = _count_done(folder, rows)
    arrays = [_mapped(folder, name, "r+") for name in ("x", "y")] if done else []
    saved_at = time.monotonic()
    # Shown on a terminal only: in a log file a bar is noise.
    with tqdm(total=rows, initial=done, desc=title, unit="rows", dynamic_ncols=True, disable=None) as bar:
        for start in range(done, rows, batch_size):
            stop = min(start + batch_size, rows)
            batch = compute(start, stop)
            if not arrays:
                arrays = [
                    _create(folder, name, rows, part) for name, part in zip(("x", "y"), batch, strict=True)
                ]
            for array, part in zip(arrays, batch, strict=True):
                array[start:stop] = part.numpy()
            if stop == rows or time.monotonic() - saved_at >= SAVE_SECONDS:
                _save(folder, arrays, stop)
                saved_at = time.monotonic()
            bar.update(stop - start)


def _count_done(folder: Path, rows: int) -> int:
    """Return the number of rows saved; 0 where the files are not whole."""
    try:
        require_regular(folder / PROGRESS)
        done = json.loads((folder / PROGRESS).read_text())["rows"]
        whole = all(len(_mapped(folder, name, "r")) == rows for name in ("x", "y"))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return 0
    return done if whole and isinstance(done, int) and 0 <= done <= rows else 0


def _mapped(folder: Path, name: str, mode: Literal["r", "r+", "c"]) -> np.memmap:
    require_regular(folder / f"{name}.npy")
    array: np.memmap = np.load(folder / f"{name}.npy", mmap_mode=mode, allow_pickle=False)
    return array


def _create(folder: Path, name: str, rows: int, like: Tensor) -> np.memmap:
    path = folder / f"{name}.npy"
    with naming(path):
        return open_memmap(path, "w+", np.float32, (rows, *like.shape[1:]))


def _save(folder: Path, arrays: list[np.memmap], done: int) -> None:
    """Save the rows before their number, so that no row counts that is not on disk."""
    for array in arrays:
        array.flush()
    write_atomically(folder / PROGRESS, json.dumps({"rows": done}))
