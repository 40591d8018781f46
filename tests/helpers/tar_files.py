"""WebDataset shards of small images, whole or damaged in many ways."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from helpers.miniatures import image_bytes


def write_members(path: Path, samples: Mapping[str, Mapping[str, bytes]]) -> Path:
    """Write a shard of samples by name, each with members by extension."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, members in samples.items():
            for extension, content in members.items():
                member = tarfile.TarInfo(f"{name}.{extension}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def sample(number: int) -> dict[str, bytes]:
    """Return a whole sample, with a caption of its own and one of three kinds."""
    metadata = {"caption": f"caption {number}", "kind": f"kind {number % 3}"}
    caption = f"caption {number}".encode()
    return {"jpg": image_bytes(number), "json": json.dumps(metadata).encode(), "txt": caption}


def write_shard(
    path: Path, numbers: range, spoilt: frozenset[int] = frozenset(), json_only: bool = False
) -> Path:
    """Write a shard of samples by number, the images of some spoilt."""
    samples = {f"part/{i:06d}": sample(i) for i in numbers}
    for i, members in enumerate(samples.values(), start=numbers.start):
        members["jpg"] = members["jpg"][: 50 if i in spoilt else None]
        if json_only:
            del members["txt"]
    return write_members(path, samples)


def write_shards(folder: Path, sizes: Sequence[int], spoilt: frozenset[int] = frozenset()) -> str:
    """Write shards with these numbers of samples, all different; return the pattern that names them."""
    folder.mkdir()
    start = 0
    for shard, size in enumerate(sizes):
        write_shard(folder / f"{shard:05d}.tar", range(start, start + size), spoilt)
        start += size
    return str(folder / f"{{00000..{len(sizes) - 1:05d}}}.tar")


def without_caption(**members: bytes) -> dict[str, bytes]:
    """Return a sample of a picture and these members."""
    return {"jpg": image_bytes(0), **members}


BAD = {  # kind of damage: the sample, and the reason that is reported
    "cut JPEG": ({"jpg": image_bytes(1)[:200], "txt": b"a cat"}, "corrupt image"),
    "JPEG without end": ({"jpg": image_bytes(1)[:-40], "txt": b"a cat"}, "corrupt image"),
    "zero-byte image": ({"jpg": b"", "txt": b"a cat"}, "corrupt image"),
    "a page instead": ({"jpg": b"<html>404</html>", "txt": b"a cat"}, "corrupt image"),
    "noise": ({"png": bytes(range(256)) * 4, "txt": b"a cat"}, "corrupt image"),
    "no image": ({"txt": b"a cat", "json": b"{}"}, "missing image"),
    "no caption": (without_caption(), "missing caption"),
    "json without caption": (without_caption(json=b'{"url": "x"}'), "missing caption"),
    "caption is null": (without_caption(json=b'{"caption": null}'), "missing caption"),
    "caption is a list": (without_caption(json=b'{"caption": ["a"]}'), "missing caption"),
    "json is a list": (without_caption(json=b"[1]"), "missing caption"),
    "json is cut": (without_caption(json=b'{"caption": "a c'), "missing caption"),
    "json is nested": (without_caption(json=b"[" * 100_000), "missing caption"),
    "empty text": (without_caption(txt=b""), "empty caption"),
    "blank text": (without_caption(txt=b" \n\t "), "empty caption"),
    "only a byte-order mark": (without_caption(txt=b"\xef\xbb\xbf"), "empty caption"),
    "empty json caption": (without_caption(json=b'{"caption": " "}'), "empty caption"),
    "Latin-1": (without_caption(txt="un café".encode("latin-1")), "caption not UTF-8"),
    "UTF-16": (without_caption(txt="a cat".encode("utf-16")), "caption not UTF-8"),
}


def place_in(checkpoint: Path) -> dict[str, Any]:
    """Return the position in the streamed epoch that a checkpoint holds."""
    loops = torch.load(checkpoint, weights_only=True)["loops"]
    return loops["fit_loop"]["state_dict"]["combined_loader"][0]
