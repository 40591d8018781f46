"""Read arrays in MNIST's format, IDX, compressed or not."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.regular_files import require_regular

BYTES = 8  # the code of the only type of numbers that these sets have
GZIP = b"\x1f\x8b"


def read_idx(path: Path) -> np.ndarray:
    """Return an array of uint8, of the shape that the file says.

    Raises:
        ConfigError: the file is missing, damaged, or holds other numbers.
    """
    try:
        require_regular(path)
        content = path.read_bytes()
        if content.startswith(GZIP):
            content = gzip.decompress(content)
        zeros, kind, axes = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{axes}I", content, 4)
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise ConfigError(f"{path}: damaged, or not in MNIST's format ({error})") from error
    numbers = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    if zeros or kind != BYTES or len(numbers) != math.prod(shape):
        raise ConfigError(f"{path}: damaged, or not bytes in MNIST's format")
    return numbers.reshape(shape)
