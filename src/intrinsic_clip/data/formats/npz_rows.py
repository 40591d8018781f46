"""Read a matrix in an .npz block by block, compressed or not, so that it need not fit into memory."""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.data.formats.batched_rows import BatchedRows
from intrinsic_clip.data.formats.npz_members import check_size, read_header
from intrinsic_clip.data.formats.number_types import FLOATING
from intrinsic_clip.errors import ConfigError, first_line

READ = 2**22  # bytes that are unpacked at a time


class NpzRows(BatchedRows):
    """Rows of a member of an .npz, which is unpacked anew for every pass.

    Args:
        path: the file.
        member: name of the .npy in it.
        shape: of the matrix.
        dtype: of the numbers, in this machine's byte order.
    """

    def __init__(self, path: Path, member: str, shape: tuple[int, int], dtype: np.dtype) -> None:
        super().__init__([shape[0]], shape[1], FLOATING[dtype.name])
        self.path, self.member, self.kind = path, member, dtype

    def _batches(self, groups: Sequence[int]) -> Iterator[Tensor]:
        rows, columns = self.shape
        size = columns * self.kind.itemsize
        step = max(1, READ // size)
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as member:
                read_header(member)
                for start in range(0, rows, step):
                    count = min(step, rows - start)
                    content = member.read(count * size)
                    if len(content) < count * size:
                        raise EOFError("it ends early")
                    numbers = np.frombuffer(bytearray(content), self.kind).reshape(count, columns)
                    yield torch.from_numpy(numbers).to(self.dtype)
                member.read()  # to its end, where its checksum is compared
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise ConfigError(f"damaged, or not an .npz file ({first_line(error)})") from error


def npz_rows(path: Path, archive: zipfile.ZipFile, name: str) -> NpzRows | None:
    """Return the rows of a member that is a matrix of numbers in the order of rows; None for any other.

    Args:
        path: of the archive.
        archive: opened.
        name: of the member.

    Raises:
        ValueError: its header is damaged, or claims more than it holds.
        ConfigError: it holds more than its header claims.
    """
    with archive.open(name) as member:
        shape, fortran, dtype = read_header(member)
        held = archive.getinfo(name).file_size - member.tell()
    if len(shape) != 2 or 0 in shape or fortran or not dtype.isnative or dtype.hasobject:
        return None
    if dtype.name not in FLOATING:
        return None
    check_size(shape[0] * shape[1] * dtype.itemsize, held)
    return NpzRows(path, name, (shape[0], shape[1]), dtype)
