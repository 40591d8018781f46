"""Read an array out of an .npz, whose sizes are compared with one another and with the memory there is."""

import math
import zipfile
from typing import IO

import numpy as np

from intrinsic_clip.errors import ConfigError

READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz_member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Return an array of an .npz, without pickle.

    Raises:
        ConfigError: it claims another size than the archive has for it, or more than the memory that is free.
        ValueError: it is damaged, or holds Python objects.
    """
    with archive.open(name) as member:
        shape, _, dtype = read_header(member)
        need = math.prod(shape) * dtype.itemsize
        held = archive.getinfo(name).file_size - member.tell()
    if not dtype.hasobject:
        check_size(need, held)
    free = _free_memory()
    if free is not None and need > free:
        raise ConfigError(f"expands to {need:,} bytes, more than the {free:,} that are free")
    with archive.open(name) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def check_size(need: int, held: int) -> None:
    """Check that there are as many bytes behind a header as it claims.

    Args:
        need: bytes of the array that the header describes.
        held: bytes that there are.

    Raises:
        ValueError: there are fewer, so that the file is damaged.
        ConfigError: there are more, as where arrays were saved one behind another; only the first would be read.
    """
    if need > held:
        raise ValueError(f"claims {need:,} bytes, of which it holds {held:,}")
    if need < held:
        raise ConfigError(
            f"holds {held:,} bytes of numbers, but its header claims {need:,}, as where several arrays were saved one "
            "behind another; numpy.concatenate makes one of them"
        )


def read_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return shape, whether columns come first, and type, as the beginning of an .npy claims.

    Raises:
        ValueError: it is damaged, or of a version that is not known.
    """
    version = np.lib.format.read_magic(member)
    reader = READERS.get(version)
    if reader is None:  # version 3 has field names, which no matrix of numbers has
        raise ValueError(f"version {version} of .npy, which is not read")
    shape, fortran, dtype = reader(member)
    return shape, fortran, dtype


def _free_memory() -> int | None:
    """Return the bytes of memory that Linux says are free; None elsewhere."""
    try:
        with open("/proc/meminfo") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None
