"""Read features from WebDataset shards: tars with an .npy, or an .npz, of one vector for each key."""

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.batched_rows import BatchedRows
from intrinsic_clip.data.formats.npz_members import read_header
from intrinsic_clip.data.formats.number_types import numpy_name
from intrinsic_clip.data.formats.shards import NamedSample, named_samples
from intrinsic_clip.data.formats.tar_members import DAMAGE, DAMAGED, list_members, opened_for_contents
from intrinsic_clip.data.skipped_samples import SkippedSamples
from intrinsic_clip.errors import ConfigError, first_line

SUFFIXES = (".tar", ".tar.gz", ".tgz")
ARRAYS = ("npy", "npz")
READ = 1024  # vectors that are handed on at a time
LARGEST = 2**24  # bytes of a member; a vector has thousands
FLOATS = (np.float16, np.float32, np.float64)


@dataclass(frozen=True)
class Shard:
    """Places of one member of every sample in a tar."""

    path: Path
    offsets: np.ndarray
    sizes: np.ndarray


class ShardRows(BatchedRows):
    """One vector of each sample, in the order of the shards and of the samples in them.

    Args:
        shards: the tars.
        chosen: the member's extension and, for an .npz, a colon and the array's name.

    Raises:
        ConfigError: a shard is damaged, a sample lacks the member, or the first one is no vector of numbers.
    """

    def __init__(self, shards: Sequence[Path], chosen: str) -> None:
        self.extension, _, self.array = chosen.partition(":")
        self.shards: list[Shard] = []
        ids: list[str] = []
        for path in shards:
            samples = _samples(path)
            self.shards.append(_places(path, samples, self.extension))
            ids += [sample.name for sample in samples]
        self.ids = ids
        self._header = b""  # of the last .npy, which nearly always is that of the next
        self._described: tuple[int, np.dtype] = (0, np.dtype(np.float32))
        super().__init__([len(shard.sizes) for shard in self.shards], 0, torch.float32)
        first = next(self._vectors(0, 1))[1][0]
        kind = first.dtype if first.dtype in FLOATS else np.dtype(np.float64)
        self._columns, self._dtype = len(first), torch.from_numpy(np.empty(0, kind.newbyteorder("="))).dtype

    def _batches(self, groups: Sequence[int]) -> Iterator[Tensor]:
        for group in groups:
            for start, vectors in self._vectors(group):
                yield self._matrix(vectors, group, start)

    def _matrix(self, vectors: list[np.ndarray], group: int, start: int) -> Tensor:
        kind = numpy_name(self._dtype)
        for place, vector in enumerate(vectors):
            exact = vector.dtype == kind or vector.dtype not in FLOATS
            if len(vector) != self._columns or not exact:
                name = (self.ids or [])[int(self.starts[group]) + start + place]
                raise ConfigError(
                    f"sample {name!r} of {self.shards[group].path.name} holds {len(vector)} numbers of {vector.dtype}, "
                    f"the first one {self._columns} of {kind}"
                )
        return torch.from_numpy(np.stack(vectors).astype(kind))

    def _vectors(self, group: int, most: int = READ) -> Iterator[tuple[int, list[np.ndarray]]]:
        """Yield the vectors of a shard, some at a time, after the number of the first."""
        shard = self.shards[group]
        offsets, sizes = shard.offsets.tolist(), shard.sizes.tolist()
        try:
            with opened_for_contents(shard.path, offsets) as file:
                for start in range(0, len(sizes), most):
                    places = range(start, min(start + most, len(sizes)))
                    yield start, [self._vector(file, offsets[place], sizes[place]) for place in places]
        except (*DAMAGE, OSError, zipfile.BadZipFile) as error:
            if isinstance(error, ConfigError):
                raise ConfigError(f"{shard.path.name}: {error}") from error
            raise ConfigError(f"{shard.path.name}: {DAMAGED} ({first_line(error)})") from error

    def _vector(self, file: IO[bytes], offset: int, size: int) -> np.ndarray:
        file.seek(offset)
        content = file.read(size)
        if len(content) < size:
            raise EOFError("it ends early")
        if not self.array:
            return self._npy(content)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if f"{self.array}.npy" not in archive.namelist():
                raise ConfigError(f"a member .{self.extension} holds no array {self.array!r}")
            if archive.getinfo(f"{self.array}.npy").file_size > LARGEST:
                raise ConfigError(f"a member .{self.extension} expands to more than {LARGEST >> 20} MiB")
            return self._npy(archive.read(f"{self.array}.npy"))

    def _npy(self, content: bytes) -> np.ndarray:
        """Return the vector in an .npy; its header is read only where it differs from the one before."""
        if not self._header or not content.startswith(self._header):
            file = io.BytesIO(content)
            shape, _, dtype = read_header(file)
            if dtype.kind not in "fiub" or not (len(shape) == 1 or (len(shape) == 2 and shape[0] == 1)):
                raise ConfigError(
                    f"a member holds {dtype} of shape {shape} where one vector of numbers is wanted"
                )
            self._header, self._described = content[: file.tell()], (shape[-1], dtype)
        width, dtype = self._described
        numbers = content[len(self._header) :]
        if len(numbers) < width * dtype.itemsize:
            raise EOFError("a member ends early")
        vector = np.frombuffer(numbers, dtype, width)
        return vector if dtype.isnative else vector.astype(dtype.newbyteorder("="))


def shard_rows(shards: Sequence[Path], key: Key) -> tuple[ShardRows, list[str]]:
    """Return the vectors of all samples, and notes.

    Args:
        shards: the tars.
        key: the member of the samples: its extension and, for an .npz, a colon and the array's name.

    Raises:
        ConfigError: a shard is damaged, a sample lacks the member, or holds no vector of numbers.
    """
    first = _samples(shards[0])[0]
    names = [name for extension in first.members for name in _offered(shards[0], first, extension)]
    chosen = key.choose(names, "members that are arrays")
    rows = ShardRows(shards, chosen)
    left_out = [extension for extension in first.members if extension != chosen.partition(":")[0]]
    left_out_too = f", {', '.join(left_out)} left out" if left_out else ""
    count = "1 shard" if len(shards) == 1 else f"{len(shards):,} shards"
    notes = [f"{len(rows.ids or []):,} samples of {count}: member {chosen!r} is read{left_out_too}"]
    return rows, notes + _order_notes(shards)


def _order_notes(shards: Sequence[Path]) -> list[str]:
    """Say where shards are in the order of their names as texts, as of a wildcard, and numbers in them in another."""
    names = [str(shard) for shard in shards]
    counted = sorted(names, key=_by_number)
    if names == counted or names != sorted(names):
        return []
    place = next(place for place, name in enumerate(names) if name != counted[place])
    return [
        f"the shards are in the order of their names, {shards[place].name} before {Path(counted[place]).name}; a range "
        "in braces, {0..11}, counts"
    ]


def _by_number(name: str) -> list[tuple[str, int]]:
    """Return a key by which numbers in a name are ordered as numbers."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"([^0-9]*)([0-9]*)", name)]


def is_shards(path: Path) -> bool:
    """Return whether a name is that of a tar, or a pattern of several."""
    return path.name.lower().endswith(SUFFIXES)


def _offered(path: Path, sample: NamedSample, extension: str) -> list[str]:
    """Return the names by which the arrays in a member can be chosen."""
    kind = extension.rpartition(".")[2]
    if kind not in ARRAYS:
        return []
    if kind == "npy":
        return [extension]
    info = sample.members[extension].content
    assert info is not None  # `_samples` has checked
    try:
        with opened_for_contents(path, [info.offset_data]) as file:
            file.seek(info.offset_data)
            with zipfile.ZipFile(io.BytesIO(file.read(info.size))) as archive:
                names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise ConfigError(f"{path.name}: sample {sample.name!r} has a damaged .npz ({error})") from error
    return [f"{extension}:{name.removesuffix('.npy')}" for name in names if name.endswith(".npy")]


def _samples(path: Path) -> list[NamedSample]:
    """Return the samples of a shard.

    Raises:
        ConfigError: it is damaged, holds none, or several of one name.
    """
    listing = list_members(path)
    if listing.problem:
        raise ConfigError(f"{path.name}: {listing.problem}")
    samples = named_samples(listing.members(), SkippedSamples(str(path)))
    if not samples:
        raise ConfigError(f"{path.name}: holds no samples")
    names: set[str] = set()
    for sample in samples:
        if sample.name in names or sample.mixed:
            raise ConfigError(
                f"{path.name}: holds several samples {sample.name!r}, and no telling them apart"
            )
        names.add(sample.name)
    return samples


def _places(path: Path, samples: Sequence[NamedSample], extension: str) -> Shard:
    """Return where the member of each sample lies."""
    contents = []
    for sample in samples:
        member = sample.members.get(extension)
        if member is None or member.content is None:
            raise ConfigError(f"{path.name}: sample {sample.name!r} has no member .{extension}")
        if member.content.size > LARGEST or member.content.sparse is not None:
            raise ConfigError(
                f"{path.name}: sample {sample.name!r} has a .{extension} of {member.content.size:,} bytes, too many "
                "for a vector"
            )
        contents.append(member.content)
    offsets = np.array([info.offset_data for info in contents], np.int64)
    return Shard(path, offsets, np.array([info.size for info in contents], np.int64))
