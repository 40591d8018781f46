"""Compute arrays of rows once: batch by batch into memory-mapped files, resumable after a kill."""

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock
from numpy.lib.format import open_memmap
from torch import Tensor
from tqdm import tqdm

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.atomic import make_folder, naming
from intrinsic_clip.runs.locks import LOCK, clear_left_behind
from intrinsic_clip.runs.regular_files import require_regular
from intrinsic_clip.runs.sealed import CHANGED, Damaged, read_sealed, write_sealed

SAVE_SECONDS = 5.0  # a kill loses at most as much work
PROGRESS, NAMES = "progress.json", ("x", "y")

Compute = Callable[[int, int], Sequence[Tensor]]


def load_or_compute_rows(
    folder: Path,
    rows: int,
    batch_size: int,
    prepare: Callable[[], Compute],
    title: str,
    names: Sequence[str] = NAMES,
) -> tuple[np.ndarray, ...]:
    """Return float32 arrays with `rows` rows, mapped from x.npy and y.npy; changes to them stay in memory.

    Rows that are not on disk yet are computed. After a kill the next process resumes from the last save; a process
    that starts while another computes waits for it. Files that are not what was saved are computed anew.

    Args:
        folder: folder of the files, whose name identifies their content; created if missing.
        rows: number of rows.
        batch_size: rows to compute at once.
        prepare: returns the function that computes rows `start` to `stop` of all arrays; called only if rows are
            missing.
        title: title of the progress bar.
        names: the arrays, whose files have these names.

    Raises:
        OSError: the folder cannot be written.
    """
    if _count_done(folder, rows, names) < rows:
        compute = prepare()  # first, so that a model that cannot be loaded leaves no files
        make_folder(folder)
        with FileLock(folder / LOCK):
            if _count_done(folder, rows, names) < rows:
                _compute_missing(folder, rows, batch_size, compute, title, names)
    clear_left_behind(folder)
    return tuple(_mapped(folder, name, "c") for name in names)


def _compute_missing(
    folder: Path, rows: int, batch_size: int, compute: Compute, title: str, names: Sequence[str]
) -> None:
    done = _count_done(folder, rows, names, aloud=True)
    arrays = [_mapped(folder, name, "r+") for name in names] if done else []
    digests = [_digest(array, done) for array in arrays]
    saved_at = time.monotonic()
    # Shown on a terminal only: in a log file a bar is noise.
    with tqdm(total=rows, initial=done, desc=title, unit="rows", dynamic_ncols=True, disable=None) as bar:
        for start in range(done, rows, batch_size):
            stop = min(start + batch_size, rows)
            batch = compute(start, stop)
            if not arrays:
                (folder / PROGRESS).unlink(missing_ok=True)  # of other arrays
                arrays = [_create(folder, name, rows, part) for name, part in zip(names, batch, strict=True)]
                digests = [_digest(array, 0) for array in arrays]
            for array, digest, part in zip(arrays, digests, batch, strict=True):
                array[start:stop] = part.numpy()
                digest.update(np.ascontiguousarray(array[start:stop]).data)
            if stop == rows or time.monotonic() - saved_at >= SAVE_SECONDS:
                _save(folder, names, arrays, digests, stop)
                saved_at = time.monotonic()
            bar.update(stop - start)


def _count_done(folder: Path, rows: int, names: Sequence[str], aloud: bool = False) -> int:
    """Return the number of rows saved; 0 where the files are not what was saved, which is printed if `aloud`.

    Raises:
        ConfigError: a newer version of this package wrote them.
        OSError: they cannot be read.
    """
    if not (folder / PROGRESS).exists():
        return 0
    try:
        return _check_saved(folder, rows, names, read_sealed(folder / PROGRESS, ("sha256",), remedy="") or {})
    except Exception as error:  # NumPy's reader has any number of them
        newer = isinstance(error, ConfigError) and not isinstance(error, Damaged)
        if newer or (isinstance(error, OSError) and not isinstance(error, FileNotFoundError)):
            raise
        if aloud:
            reason = str(error) if isinstance(error, Damaged) else f"{folder}: damaged ({error!r})"
            print(f"{reason}; it is computed anew", flush=True)
        return 0


def _check_saved(folder: Path, rows: int, names: Sequence[str], progress: Mapping[str, Any]) -> int:
    """Return the number of rows saved, after a look at every one of them; version 0 kept no checksums of them.

    Raises:
        Damaged: rows are not what was saved.
        Exception: of any kind, where the files have another form.
    """
    done = progress["rows"]
    if type(done) is not int or not 0 <= done <= rows:
        raise Damaged(folder / PROGRESS, f"{done} of {rows} rows")
    for name in names:
        array = _mapped(folder, name, "r")
        whole = array.offset + array.nbytes == (folder / f"{name}.npy").stat().st_size
        if len(array) != rows or array.dtype != np.float32 or not array.flags.c_contiguous or not whole:
            raise Damaged(folder / f"{name}.npy", f"not {rows} rows of float32")
        if "sha256" in progress and _digest(array, done).hexdigest() != progress["sha256"][name]:
            raise Damaged(folder / f"{name}.npy", CHANGED)
    return done


def _digest(array: np.memmap, done: int) -> "hashlib._Hash":
    """Return the digest of the first rows of an array, to which those of further rows can be added."""
    digest = hashlib.sha256(str(array.shape).encode())
    digest.update(array[:done].data)
    return digest


def _mapped(folder: Path, name: str, mode: Literal["r", "r+", "c"]) -> np.memmap:
    require_regular(folder / f"{name}.npy")
    array: np.memmap = np.load(folder / f"{name}.npy", mmap_mode=mode, allow_pickle=False)
    return array


def _create(folder: Path, name: str, rows: int, like: Tensor) -> np.memmap:
    path = folder / f"{name}.npy"
    with naming(path):
        array: np.memmap = open_memmap(path, "w+", np.float32, (rows, *like.shape[1:]))
        with path.open("r+b") as file:  # room for all, since a full disk would end the process without a word
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _save(
    folder: Path,
    names: Sequence[str],
    arrays: list[np.memmap],
    digests: "list[hashlib._Hash]",
    done: int,
) -> None:
    """Save the rows before their number, so that no row counts that is not on disk."""
    for name, array in zip(names, arrays, strict=True):
        array.flush()
        with (folder / f"{name}.npy").open("rb") as file:
            os.fsync(file.fileno())
    sums = {name: digest.hexdigest() for name, digest in zip(names, digests, strict=True)}
    write_sealed(folder / PROGRESS, {"rows": done, "sha256": sums})
