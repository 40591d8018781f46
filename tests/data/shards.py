"""WebDataset shards of small images, whole or damaged in every way that was seen or feared."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from data.miniatures import image_bytes


def write_members(path: Path, samples: Mapping[str, Mapping[str, bytes]]) -> Path:
    """A shard of samples by name, each of members by extension."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, members in samples.items():
            for extension, content in members.items():
                member = tarfile.TarInfo(f"{name}.{extension}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def sample(number: int) -> dict[str, bytes]:
    """A whole sample, with a caption of its own and one of three kinds."""
    known = {"caption": f"caption {number}", "kind": f"kind {number % 3}"}
    caption = f"caption {number}".encode()
    return {"jpg": image_bytes(number), "json": json.dumps(known).encode(), "txt": caption}


def write_shard(
    path: Path, numbers: range, spoilt: frozenset[int] = frozenset(), json_only: bool = False
) -> Path:
    """A shard of samples by number, the images of some spoilt."""
    samples = {f"part/{i:06d}": sample(i) for i in numbers}
    for i, members in enumerate(samples.values(), start=numbers.start):
        members["jpg"] = members["jpg"][: 50 if i in spoilt else None]
        if json_only:
            del members["txt"]
    return write_members(path, samples)


def write_shards(folder: Path, sizes: Sequence[int], spoilt: frozenset[int] = frozenset()) -> str:
    """Shards of these many samples, all different; returns the pattern that names them."""
    folder.mkdir()
    start = 0
    for shard, size in enumerate(sizes):
        write_shard(folder / f"{shard:05d}.tar", range(start, start + size), spoilt)
        start += size
    return str(folder / f"{{00000..{len(sizes) - 1:05d}}}.tar")
