"""Read WebDataset shards: tar files whose samples are adjacent members, `000017.jpg`, `000017.txt`, ….

A shard is read from front to back, one member at a time into memory. Members are never unpacked to disk, so their names
cannot point outside a folder.
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
    """One decoded pair: pixels `(3, size, size)` uint8, caption, and the content of its json."""

    pixels: np.ndarray
    caption: str
    metadata: dict[str, Any]


def expand(pattern: str) -> list[Path]:
    """Return the shards of a pattern: `{000..127}` counts, `{a,b}` lists, `*` and `?` match existing files.

    Raises:
        ConfigError: no file matches, or a counted or listed file is missing.
    """
    shards = expand_pattern(pattern)
    missing = [shard for shard in shards if not shard.is_file()]
    if not shards or missing:
        problem = (
            f"{len(missing)} of {len(shards)} are missing, the first {missing[0]}"
            if missing
            else "no file matches"
        )
        raise ConfigError(
            f"data.shards={pattern}: {problem}; expected .tar files such as shards/{{00000..00127}}.tar"
        )
    return shards


def read_members(shard: Path, skipped: SkippedSamples) -> Iterator[tuple[str, Members]]:
    """Yield the samples of a shard: name, and content by extension.

    A shard that ends early or is no tar counts as one skipped sample; whole samples before its end are used.
    """
    name, members = "", Members()
    try:
        with _open(shard) as file, tarfile.open(fileobj=file, mode="r|") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                stem, extension = _split_name(member.name)
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
        return  # the last sample is cut off, so it is not used
    if members:
        yield name, members


def _open(shard: Path) -> Any:
    return gzip.open(shard) if shard.suffix in (".gz", ".tgz") else shard.open("rb")


def _is_whole(shard: Path) -> bool:
    """Return whether a tar has its end mark; tarfile accepts one that was cut between two members."""
    if shard.suffix in (".gz", ".tgz"):
        return True  # gzip itself raises if it is cut
    with shard.open("rb") as file:
        file.seek(max(0, shard.stat().st_size - 1024))
        return file.read() == bytes(1024)


def _split_name(name: str) -> tuple[str, str]:
    """Split a member's name at the first dot of its last part, WebDataset's rule: `a/b.c.jpg` → `a/b`, `c.jpg`."""
    folder, _, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return f"{folder}/{stem}" if folder else stem, extension.lower()


def decode(name: str, members: Members, size: int, skipped: SkippedSamples) -> Sample | None:
    """Return the decoded pair of a sample; None, and count it as skipped, without a readable image or a caption."""
    skipped.seen += 1
    image = next((members[extension] for extension in IMAGES if extension in members), None)
    if image is None:
        skipped.skip(name, "missing image")
        return None
    metadata = _metadata(members.get("json", b"{}"))
    try:
        caption = _caption(members, metadata)
    except UnicodeDecodeError:
        skipped.skip(name, "caption not UTF-8")
        return None
    if not caption:
        skipped.skip(name, "missing caption" if caption is None else "empty caption")
        return None
    try:
        return Sample(read_pixels(io.BytesIO(image), size), caption, metadata)
    except BadImage as error:
        skipped.skip(name, str(error))
        return None


def _caption(members: Members, metadata: dict[str, Any]) -> str | None:
    """Return the first caption that is not blank; "" if all are blank, None if there is none.

    Raises:
        UnicodeDecodeError: a caption is not UTF-8.
    """
    texts = [members[extension].decode("utf-8-sig") for extension in CAPTIONS if extension in members]
    if isinstance(metadata.get("caption"), str):
        texts.append(metadata["caption"])
    captions = [" ".join(text.split()) for text in texts]
    return next(filter(None, captions), "" if captions else None)


def _metadata(content: bytes) -> dict[str, Any]:
    try:
        metadata = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return metadata if isinstance(metadata, dict) else {}
