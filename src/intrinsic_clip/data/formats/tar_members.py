"""List every member of a tar, compressed or not, and read their contents into memory, never to disk by their names.

Headers are not believed: sizes are compared with what is left of the file, and no read is without a bound.
"""

import bz2
import gzip
import io
import lzma
import posixpath
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from types import SimpleNamespace
from typing import IO, Any

from intrinsic_clip.runs.regular_files import require_regular

BLOCK = tarfile.BLOCKSIZE
LARGEST_MEMBER = 2**27  # bytes
LARGEST_HEADER = 2**20  # bytes; long names and attributes need a few hundred
LARGEST_PADDING = 2**26  # bytes of zeros between archives or after the last
EXPANSION = (
    100  # times its size that a compressed tar may expand to; pictures hardly shrink, bombs do a thousandfold
)
SMALL_EXPANSION = 2**30  # bytes that any compressed tar may expand to
CHUNK = 2**20
COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
ZSTD = b"\x28\xb5\x2f\xfd"
DAMAGE = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, OverflowError, RecursionError)
DAMAGED = "truncated or corrupt shard"


@dataclass(frozen=True)
class Member:
    """A member of a tar.

    Attributes:
        info: its header.
        content: the header of the member that holds its content; None for a link to what the tar does not hold.
    """

    info: tarfile.TarInfo
    content: tarfile.TarInfo | None


@dataclass
class Listing:
    """The members of a tar in their order.

    Attributes:
        headers: the headers of all members, the last one possibly cut.
        problem: why the tar could not be read to its end; None if it was.
        whole: number of members before the last mark of an archive's end.
    """

    headers: list[tarfile.TarInfo] = field(default_factory=list)
    problem: str | None = None
    whole: int = 0

    @property
    def cut(self) -> bool:
        """Return whether the last member, or others of its sample, may be missing."""
        return len(self.headers) > self.whole

    def members(self) -> list[Member]:
        """Return the members with links resolved: a hard link to an earlier member, a symbolic link to any."""
        last: dict[str, tarfile.TarInfo] = {}
        members = []
        for info in self.headers:
            content = last.get(plain_name(info.linkname)) if info.islnk() else info
            members.append(Member(info, content))
            if content is not None:
                last[plain_name(info.name)] = content
        return [
            Member(member.info, _target(member.content, last))
            if member.content is not None and member.content.issym()
            else member
            for member in members
        ]


def plain_name(name: str) -> str:
    """Return a member's name without ./ at its beginning."""
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return name


def _target(link: tarfile.TarInfo, members: dict[str, tarfile.TarInfo]) -> tarfile.TarInfo | None:
    """Return the file that a symbolic link leads to, over further links; None if the tar does not hold it."""
    seen: set[int] = set()
    info: tarfile.TarInfo | None = link
    while info is not None and info.issym() and info.offset not in seen:
        seen.add(info.offset)
        folder = posixpath.dirname(plain_name(info.name))
        info = members.get(posixpath.normpath(posixpath.join(folder, info.linkname)))
    return info if info is not None and info.isreg() else None


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], int | None]]:
    """Open a tar, decompressed if it begins like a compressed file, whatever its name.

    Yields:
        The file, and the bytes that it may expand to; None if it is not compressed.

    Raises:
        OSError: it cannot be opened, is no regular file, or needs a package that is not installed.
    """
    limit = max(SMALL_EXPANSION, EXPANSION * require_regular(path).st_size)
    with path.open("rb") as raw:
        start = raw.read(6)
        raw.seek(0)
        opener: Any = next((opener for magic, opener in COMPRESSED.items() if start.startswith(magic)), None)
        if opener is not None:
            with opener(raw, "rb") as packed, io.BufferedReader(packed, CHUNK) as file:
                yield file, limit
        elif start.startswith(ZSTD):
            with _zstd_opener()(raw) as packed, _decompressed(packed, limit) as file:
                yield file, limit
        else:
            yield raw, None


@contextmanager
def opened_for_contents(path: Path, offsets: Sequence[int]) -> Iterator[IO[bytes]]:
    """Open a tar to read from these offsets, in this order.

    A compressed one would be decompressed anew for each step backwards, so it is then decompressed first, into a
    temporary file that has no name.
    """
    with _opened(path) as (file, limit):
        if limit is None or list(offsets) == sorted(offsets):
            yield file
        else:
            with _decompressed(file, limit) as whole:
                yield whole


@contextmanager
def _decompressed(packed: IO[bytes], limit: int) -> Iterator[IO[bytes]]:
    """Copy a decompressed file to a temporary one; what exceeds the limit, or is damaged, is left out."""
    with TemporaryFile() as whole:
        try:
            while whole.tell() <= limit and (chunk := packed.read(CHUNK)):
                whole.write(chunk)
        except DAMAGE:  # the listing has told already
            pass
        whole.seek(0)
        yield whole


def list_members(path: Path) -> Listing:
    """List the members of a tar, of several that follow one another, or of what is left of a damaged one."""
    listing = Listing()
    try:
        with _opened(path) as (file, limit):
            end = path.stat().st_size if limit is None else limit
            position: int | None = 0
            while position is not None:
                position = _list_archive(file, position, end, limit is not None, listing)
                listing.whole = len(listing.headers)
    except DAMAGE:
        listing.problem = DAMAGED
    except OSError as error:
        listing.problem = problem_of(error)
    return listing


def problem_of(error: OSError) -> str:
    """Return why a shard cannot be read, in a few words."""
    if isinstance(error, FileNotFoundError):
        return "missing shard"
    return f"shard {error.strerror}".lower() if error.strerror else DAMAGED


def _list_archive(file: IO[bytes], start: int, end: int, compressed: bool, listing: Listing) -> int | None:
    """List the archive that begins at `start`; return where the next one begins, or None after the last.

    Args:
        end: bytes that the file has, or may expand to.
        compressed: the file carries a checksum, so that it needs no mark of the end.
    """
    file.seek(start)
    archive = tarfile.TarFile(fileobj=_Headers(file))  # type: ignore[arg-type]
    position = start
    while (info := archive.next()) is not None:
        listing.headers.append(info)
        if not position < archive.offset <= end:  # a size that is negative, or more than is left
            raise EOFError
        position = archive.offset
    file.seek(position)
    zeros, more = _count_zeros(file)
    if zeros < 2 * BLOCK and (more or not compressed):  # a damaged header, or a cut between two members
        raise EOFError
    return position + zeros if more else None


def _count_zeros(file: IO[bytes]) -> tuple[int, bool]:
    """Return the number of zero bytes that follow, and whether anything follows those.

    Raises:
        EOFError: there is no end of them.
    """
    zeros = 0
    while chunk := file.read(2**16):
        beginning = len(chunk) - len(chunk.lstrip(b"\0"))
        zeros += beginning
        if beginning < len(chunk):
            return zeros, True
        if zeros > LARGEST_PADDING:
            raise EOFError
    return zeros, False


class _Headers:
    """A file whose single reads return no more than a header needs, however much a header claims."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.tell, self.seek = file, file.tell, file.seek

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, none where their number is not given."""
        return self.file.read(min(size, LARGEST_HEADER)) if size >= 0 else b""


def read_content(file: IO[bytes], info: tarfile.TarInfo) -> bytes:
    """Return the content of a member of at most `LARGEST_MEMBER` bytes.

    Raises:
        EOFError: the file holds less than when it was listed.
        tarfile.TarError: as EOFError, of a sparse member.
    """
    if info.sparse is not None:
        sparse: Any = tarfile.ExFileObject(SimpleNamespace(fileobj=file), info)  # type: ignore[arg-type]
        return bytes(sparse.read())
    file.seek(info.offset_data)
    content = file.read(info.size)
    if len(content) < info.size:
        raise EOFError
    return content


def _zstd_opener() -> Any:
    """Return a function that opens a file compressed by zstd.

    Raises:
        OSError: neither Python nor a package offers one.
    """
    for name in ("compression.zstd", "zstandard"):
        try:
            return import_module(name).open
        except ImportError:
            continue
    raise OSError(0, "is compressed by zstd, which needs zstandard: pip install zstandard")
