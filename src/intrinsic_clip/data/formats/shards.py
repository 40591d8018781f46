"""WebDataset shards: tar files in which the members of a sample lie side by side, `000017.jpg`, `000017.txt`, ….

They are read from front to back, a member at a time into memory; nothing is ever unpacked, so a member's name
cannot lead anywhere.
"""

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from intrinsic_clip.data.formats.pixels import BadImage, read_pixels
from intrinsic_clip.data.skipped_samples import SkippedSamples
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.contents import expand_pattern

IMAGES = ("jpg", "jpeg", "png", "webp", "gif", "bmp")
CAPTIONS = ("txt", "text", "caption")  # or in the json
LARGEST_MEMBER = 2**27  # bytes; a header may claim anything
Members = dict[str, bytes]


@dataclass(frozen=True)
class Sample:
    """One decoded pair: pixels `(3, size, size)` uint8, caption, and what else its json says."""

    pixels: np.ndarray
    caption: str
    known: dict[str, Any]


def expand(pattern: str) -> list[Path]:
    """The shards that a pattern names: `{000..127}` counts, `{a,b}` lists, `*` and `?` match what is there.

    Raises:
        ConfigError: none matches, or one that is counted or listed is not there.
    """
    shards = expand_pattern(pattern)
    missing = [shard for shard in shards if not shard.is_file()]
    if not shards or missing:
        which = (
            f"{len(missing)} of {len(shards)} are missing, the first {missing[0]}"
            if missing
            else "none is there"
        )
        raise ConfigError(
            f"data.shards={pattern}: {which}; expected .tar files such as shards/{{00000..00127}}.tar"
        )
    return shards


def read_members(shard: Path, skipped: SkippedSamples) -> Iterator[tuple[str, Members]]:
    """The samples of a shard: name, and content by extension. A shard that ends early, or is none, is counted once.

    What came whole before the end is used.
    """
    name, members = "", Members()
    try:
        with _opened(shard) as file, tarfile.open(fileobj=file, mode="r|") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                stem, extension = _parted(member.name)
                if stem != name and members:
                    yield name, members
                    members = {}
                name = stem
                if member.size <= LARGEST_MEMBER:
                    content = archive.extractfile(member)
                    members[extension] = content.read() if content else b""
        if not _is_whole(shard):
            raise EOFError
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        skipped.seen += 1
        absent = isinstance(error, FileNotFoundError)
        skipped.skip(shard.name, "missing shard" if absent else "truncated or corrupt shard")
        return  # without the sample that the end cut through
    if members:
        yield name, members


def _opened(shard: Path) -> Any:
    return gzip.open(shard) if shard.suffix in (".gz", ".tgz") else shard.open("rb")


def _is_whole(shard: Path) -> bool:
    """Whether a tar ends as it should: tarfile takes one that was cut between two members for whole."""
    if shard.suffix in (".gz", ".tgz"):
        return True  # gzip has told
    with shard.open("rb") as file:
        file.seek(max(0, shard.stat().st_size - 1024))
        return file.read() == bytes(1024)


def _parted(name: str) -> tuple[str, str]:
    """`a/b.c.jpg` → `a/b`, `c.jpg`: WebDataset's rule is the first dot of the last part."""
    folder, _, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return f"{folder}/{stem}" if folder else stem, extension.lower()


def decode(name: str, members: Members, size: int, skipped: SkippedSamples) -> Sample | None:
    """The pair that a sample is; None, and counted, where it has no readable image or no caption."""
    skipped.seen += 1
    image = next((members[extension] for extension in IMAGES if extension in members), None)
    if image is None:
        skipped.skip(name, "missing image")
        return None
    known = _known(members.get("json", b"{}"))
    try:
        caption = _caption(members, known)
    except UnicodeDecodeError:
        skipped.skip(name, "caption not UTF-8")
        return None
    if not caption:
        skipped.skip(name, "missing caption" if caption is None else "empty caption")
        return None
    try:
        return Sample(read_pixels(io.BytesIO(image), size), caption, known)
    except BadImage as error:
        skipped.skip(name, str(error))
        return None


def _caption(members: Members, known: dict[str, Any]) -> str | None:
    """The first that says something; empty where none does, None where there is none.

    Raises:
        UnicodeDecodeError: of what should be text and is not.
    """
    texts = [members[extension].decode("utf-8-sig") for extension in CAPTIONS if extension in members]
    if isinstance(known.get("caption"), str):
        texts.append(known["caption"])
    captions = [" ".join(text.split()) for text in texts]
    return next(filter(None, captions), "" if captions else None)


def _known(content: bytes) -> dict[str, Any]:
    try:
        known = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}
