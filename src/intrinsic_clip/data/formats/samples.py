"""Decode one sample of a WebDataset shard: choose its image and caption among its members, and count every member."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intrinsic_clip.data.formats.pixels import BadImage, read_pixels
from intrinsic_clip.data.skipped_samples import OF_SKIPPED, USED, SkippedSamples

IMAGES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "jpe", "jfif", "tif", "tiff", "avif", "jp2", "j2k", "jpx", "ppm",
          "pgm", "pbm", "pnm", "pfm", "tga", "ico", "qoi", "mpo", "apng")  # fmt: skip
CAPTIONS = ("txt", "text", "caption")  # or in the json
LISTED = 5  # extensions that a message names
FIRST_DOT = "WebDataset's name ends at the first dot"


@dataclass(frozen=True)
class Unusable:
    """Stands for the content of a member that cannot be used."""

    reason: str


Members = dict[str, bytes | Unusable]


@dataclass(frozen=True)
class Sample:
    """One decoded pair: pixels `(3, size, size)` uint8, caption, and the content of its json."""

    pixels: np.ndarray
    caption: str
    metadata: dict[str, Any]


class _BadSample(ValueError):
    """A sample that cannot be used: the reason to count it under, and details for an example."""

    def __init__(self, reason: str, details: str = "") -> None:
        super().__init__(reason)
        self.reason, self.details = reason, details


def decode(name: str, members: Members, size: int, skipped: SkippedSamples) -> Sample | None:
    """Return the decoded pair of a sample; None, and count it as skipped, without a readable image or a caption."""
    skipped.seen += 1
    try:
        if all(isinstance(content, Unusable) for content in members.values()):
            _content(next(iter(members.values())))
        image = _choose(members, IMAGES, "images")
        if image is None:
            raise _BadSample("missing image", _without_image(members))
        metadata = _metadata(members.get("json"))
        caption, extension = _caption(members, metadata)
        pixels = read_pixels(io.BytesIO(_content(members[image])), size)
    except BadImage as error:
        skipped.skip(name, str(error))
    except _BadSample as error:
        skipped.skip(name, error.reason, error.details)
    else:
        used = {image, extension} | ({"json"} if metadata else set())
        _count(members, used, skipped)
        return Sample(pixels, caption, metadata)
    skipped.count_member(OF_SKIPPED, len(members))
    return None


def _count(members: Members, used: set[str], skipped: SkippedSamples) -> None:
    """Count the members of a sample as used, or by their kind."""
    for extension in members:
        last = extension.rpartition(".")[2]
        kind = f"further .{last}" if last in (*IMAGES, *CAPTIONS) else f".{last}"
        skipped.count_member(USED if extension in used else kind)


def _choose(members: Mapping[str, object], kinds: tuple[str, ...], plural: str) -> str | None:
    """Return the extension of the member of this kind: the first of `kinds`, or one that ends in it, as `img.jpg` does.

    Raises:
        _BadSample: several members end so, or the members do not belong to one sample.
    """
    exact = next((kind for kind in kinds if kind in members), None)
    if exact is not None:
        return exact
    dotted = [extension for extension in members if extension.rpartition(".")[2] in kinds]
    if len(dotted) > 1:
        raise _BadSample(
            f"several {plural}", f"its members have the extensions {_listed(members)}: {FIRST_DOT}"
        )
    return dotted[0] if dotted else None


def _without_image(members: Members) -> str:
    """Return the extensions in which one may see an image, and those that are read; "" for captions alone."""
    if not set(members) - {*CAPTIONS, "json"}:
        return ""
    return f"no image among {_listed(members)}; {', '.join(IMAGES)} are read"


def _without_caption(members: Members, metadata: dict[str, Any]) -> str:
    """Return in what one may see a caption: other extensions, or keys of the json."""
    others = set(members) - {*IMAGES, "json"}
    if not others and not metadata:
        return ""
    keys = f", and its json has no text 'caption' but the keys {_listed(metadata)}" if metadata else ""
    return f"no .{', .'.join(CAPTIONS)} among {_listed(members)}{keys}"


def _listed(members: Mapping[str, object]) -> str:
    extensions = sorted(members)
    return ", ".join(
        [*(extension or "none" for extension in extensions[:LISTED]), *["…"][: len(members) - LISTED]]
    )


def _content(member: bytes | Unusable) -> bytes:
    if isinstance(member, Unusable):
        raise _BadSample(member.reason)
    return member


def _caption(members: Members, metadata: dict[str, Any]) -> tuple[str, str]:
    """Return the first caption that is not blank, and the extension of its member.

    Raises:
        _BadSample: there is none, all are blank, or one is not UTF-8.
    """
    extensions = [kind for kind in CAPTIONS if kind in members]
    if not extensions and not isinstance(metadata.get("caption"), str):
        dotted = _choose(members, CAPTIONS, "captions")
        extensions = [] if dotted is None else [dotted]
    try:
        texts = [(_content(members[extension]).decode("utf-8-sig"), extension) for extension in extensions]
    except UnicodeDecodeError as error:
        raise _BadSample("caption not UTF-8") from error
    if isinstance(metadata.get("caption"), str):
        texts.append((metadata["caption"], "json"))
    captions = [(" ".join(text.split()), extension) for text, extension in texts]
    if not captions:
        raise _BadSample("missing caption", _without_caption(members, metadata))
    chosen = next((caption for caption in captions if caption[0]), None)
    if chosen is None:
        raise _BadSample("empty caption")
    return chosen


def _metadata(content: bytes | Unusable | None) -> dict[str, Any]:
    if not isinstance(content, bytes):
        return {}
    try:
        metadata = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return metadata if isinstance(metadata, dict) else {}
