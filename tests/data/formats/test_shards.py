"""Every member of a shard is used, or counted under its true reason; no header is believed."""

import bz2
import gzip
import io
import json
import lzma
import os
import struct
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.miniatures import image_bytes
from intrinsic_clip.data.formats import tar_members
from intrinsic_clip.data.formats.pixels import read_pixels
from intrinsic_clip.data.formats.shards import Sample, decode, expand, read_members
from intrinsic_clip.data.skipped_samples import OF_SKIPPED, USED, SkippedSamples
from intrinsic_clip.errors import ConfigError

PICTURES = [image_bytes(number, size=(16, 16)) for number in range(8)]
PIXELS = [read_pixels(io.BytesIO(picture), 8) for picture in PICTURES]
LINKS = {
    "hard": tarfile.LNKTYPE,
    "symbolic": tarfile.SYMTYPE,
    "folder": tarfile.DIRTYPE,
    "pipe": tarfile.FIFOTYPE,
}
Entry = tuple[str, bytes] | tuple[str, str, str]  # name and content, or name, kind of link and target


def tar(entries: list[Entry], format: int = tarfile.GNU_FORMAT) -> bytes:
    """Return a tar of these members, in this order."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as archive:
        for name, content, *target in entries:
            info = tarfile.TarInfo(name)
            if target:
                info.type, info.linkname = LINKS[content], target[0]
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def pair(name: str, number: int) -> list[Entry]:
    return [(f"{name}.jpg", PICTURES[number]), (f"{name}.txt", f"text {number}".encode())]


def read(path: Path) -> tuple[list[tuple[str, int, str]], SkippedSamples]:
    """Return name, number of the picture and caption of each usable sample, and the counts."""
    skipped = SkippedSamples("data.shards=s")
    samples = [(name, decode(name, members, 8, skipped)) for name, members in read_members(path, skipped)]
    used = [(name, _number(sample), sample.caption) for name, sample in samples if sample is not None]
    return used, skipped


def _number(sample: Sample) -> int:
    return next(i for i, pixels in enumerate(PIXELS) if np.array_equal(pixels, sample.pixels))


def check(path: Path, content: bytes, wanted: list[tuple[str, int]], **counts: int) -> SkippedSamples:
    """Check the usable samples by name and number, whose captions must fit, and the counts of other members."""
    path.write_bytes(content)
    used, skipped = read(path)
    assert [(name, number) for name, number, _ in used] == wanted
    assert all(caption == f"text {number}" for _, number, caption in used)
    left_out = {kind.replace(" ", "_"): n for kind, n in skipped.members.items() if kind != USED}
    assert left_out == counts
    return skipped


def test_repeated_names_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    both = [("a", 0), ("a", 1), ("b", 2)]
    check(path, tar([*pair("a", 0), *pair("a", 1), *pair("b", 2)]), both)
    check(path, tar([*pair("a", 0), *pair("b", 2), *pair("a", 1)]), [both[0], both[2], both[1]])
    check(path, tar([*pair("./a", 0), *pair("a", 1), *pair(".//b", 2)]), both)
    (jpg_0, txt_0), (jpg_1, txt_1) = pair("a", 0), pair("a", 1)
    for mixed in ([jpg_0, jpg_1, txt_0, txt_1], [jpg_0, txt_0, txt_1, jpg_1]):
        skipped = check(path, tar([*mixed, *pair("b", 2)]), both[2:], of_skipped_samples=4)
        assert (skipped.seen, skipped.reasons) == (3, {"repeated name": 2})
    skipped = check(path, tar([jpg_0, txt_0, txt_1, *pair("b", 2)]), both[2:], of_skipped_samples=3)
    assert skipped.reasons == {"repeated name": 2}
    check(path, tar(pair("a", 0)), both[:1])
    check(tmp_path / "b.tar", tar(pair("a", 1)), both[1:2])  # in another shard the name is another sample's


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_members_that_are_not_adjacent_are_joined(tmp_path: Path, pack) -> None:
    pairs = [pair(f"{i}", i) for i in range(5)]
    entries = [*(jpg for jpg, _ in pairs), *(txt for _, txt in reversed(pairs))]
    check(tmp_path / "a.tar", pack(tar(entries)), [(f"{i}", i) for i in range(5)])  # whatever the file's name


def test_members_that_are_no_data_are_counted_by_kind(tmp_path: Path) -> None:
    entries: list[Entry] = [("./", "folder", ""), ("pipe.jpg", "pipe", "")]
    for i in range(3):
        entries += [(f"./._{i}.jpg", b"\0\5\26\7"), *pair(f"./{i}", i), (f"__MACOSX/._{i}.txt", b"\0\5\26\7")]
    entries += [
        (name, b"x") for name in (".DS_Store", "a/Thumbs.db", "README", ".cache.txt", "0.cls", "0.meta.npy")
    ]
    counts = {"macOS's_.__files": 6, "folders": 1, "pipes_and_devices": 1, "file_managers'_files": 2}
    others = {"files_without_an_extension": 1, "hidden_files": 1, ".cls": 1, ".npy": 1}
    skipped = check(tmp_path / "a.tar", tar(entries), [("0", 0), ("1", 1), ("2", 2)], **counts, **others)
    assert len(skipped) == 0
    assert skipped.members.total() == len(entries)


def test_members_left_out_are_reported_in_one_line(tmp_path: Path, capsys) -> None:
    skipped = check(
        tmp_path / "a.tar", tar([*pair("a", 0), ("._a.jpg", b"")]), [("a", 0)], **{"macOS's_.__files": 1}
    )
    skipped.report()
    assert capsys.readouterr().err == "data.shards=s: 1 of 3 members are not read: 1 macOS's ._ files\n"
    other = SkippedSamples("data.shards=s")
    other.merge(skipped.pop_counts())
    assert SkippedSamples("data.shards=s", **other.counts()).members == {USED: 2, "macOS's ._ files": 1}
    assert skipped.members == {}


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_links_are_followed_within_the_shard(tmp_path: Path, pack) -> None:
    entries: list[Entry] = [
        *pair("set/a", 0),
        ("set/b.jpg", "hard", "set/a.jpg"),
        ("set/b.txt", b"text 0"),
        ("set/c.jpg", "symbolic", "../later/d.jpg"),
        ("set/c.txt", "symbolic", "c2.text"),
        *pair("later/d", 1),
        ("set/c2.text", "symbolic", "../later/d.txt"),
    ]
    wanted = [("set/a", 0), ("set/b", 0), ("set/c", 1), ("later/d", 1)]
    check(tmp_path / "a.tar", pack(tar(entries)), wanted, of_skipped_samples=1)  # c2 has a caption alone
    outside = [("/etc/passwd",), ("../../a.jpg",), ("x.jpg",)]  # the last one is itself
    for (target,) in outside:
        bad: list[Entry] = [*pair("a", 0), ("x.jpg", "symbolic", target), ("x.txt", b"text")]
        skipped = check(tmp_path / "a.tar", pack(tar(bad)), [("a", 0)], of_skipped_samples=2)
        assert skipped.reasons == {"link to what the shard does not hold": 1}
    later: list[Entry] = [("x.jpg", "hard", "a.jpg"), ("x.txt", b"text"), *pair("a", 0)]
    assert check(tmp_path / "a.tar", pack(tar(later)), [("a", 0)], of_skipped_samples=2).reasons == {
        "link to what the shard does not hold": 1
    }


@pytest.mark.parametrize("extension", ["JPG", "jpe", "jfif", "img.jpg", "tif", "tiff", "bmp", "ppm", "Jpeg"])
def test_extensions_of_images(tmp_path: Path, extension: str) -> None:
    kind = {"tif": "TIFF", "tiff": "TIFF", "bmp": "BMP", "ppm": "PPM"}.get(extension, "JPEG")
    content = PICTURES[3] if kind == "JPEG" else image_bytes(3, kind, (16, 16))
    (tmp_path / "a.tar").write_bytes(tar([(f"a.{extension}", content), ("a.v1.txt", b"text 3")]))
    skipped = SkippedSamples("s")
    (sample,) = (
        decode(name, members, 8, skipped) for name, members in read_members(tmp_path / "a.tar", skipped)
    )
    assert sample is not None
    assert (sample.caption, skipped.members) == ("text 3", {USED: 2})
    assert (sample.pixels == read_pixels(io.BytesIO(content), 8)).all()


def test_of_several_images_and_captions_the_usual_one_is_used(tmp_path: Path) -> None:
    entries: list[Entry] = [
        ("a.png", image_bytes(1, "PNG", (16, 16))),
        ("a.seg.jpg", PICTURES[2]),
        ("a.caption", b"another"),
        *pair("a", 0),
        ("a.json", json.dumps({"caption": "text 5", "kind": 1}).encode()),
    ]
    counts = {"further_.png": 1, "further_.jpg": 1, "further_.caption": 1}
    check(tmp_path / "a.tar", tar(entries), [("a", 0)], **counts)
    check(tmp_path / "a.tar", tar([*entries[3:4], ("a.json", b'{"caption": "text 0"}')]), [("a", 0)])


def test_what_was_seen_instead_of_an_image_is_said(tmp_path: Path) -> None:
    dots = [entry for i in range(4) for entry in pair(f"img.v2.{i}", i)]
    skipped = check(tmp_path / "a.tar", tar(dots), [], of_skipped_samples=8)
    assert skipped.reasons == {"several images": 1}
    assert skipped.examples == [
        "img (several images: its members have the extensions v2.0.jpg, v2.0.txt, v2.1.jpg, v2.1.txt, v2.2.jpg, …: "
        "WebDataset's name ends at the first dot)"
    ]
    skipped = check(tmp_path / "a.tar", tar([("a.mp4", b""), ("a.txt", b"text")]), [], of_skipped_samples=2)
    assert skipped.examples[0].startswith("a (missing image: no image among mp4, txt; jpg, jpeg, png, ")
    entries: list[Entry] = [("a.jpg", PICTURES[0]), ("a.json", b'{"text": "b"}')]
    skipped = check(tmp_path / "a.tar", tar(entries), [], of_skipped_samples=2)
    assert skipped.reasons == {"missing caption": 1}
    assert skipped.examples[0].endswith("its json has no text 'caption' but the keys text)")
    several: list[Entry] = [("a.jpg", PICTURES[0]), ("a.en.txt", b"text"), ("a.de.txt", b"Text")]
    skipped = check(tmp_path / "a.tar", tar(several), [], of_skipped_samples=3)
    assert skipped.reasons == {"several captions": 1}
    odd: list[Entry] = [("caf\udce9\n.jpg", b"none"), ("caf\udce9\n.txt", b"text")]
    skipped = check(tmp_path / "a.tar", tar(odd, tarfile.PAX_FORMAT), [], of_skipped_samples=2)
    assert skipped.examples == [r"caf\udce9\n (corrupt image)"]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_in_every_format(tmp_path: Path, format: int) -> None:
    name = "folder/" * 12 + ("é" * 60 if format != tarfile.USTAR_FORMAT else "n" * 60)
    check(tmp_path / "a.tar", tar([*pair(name, 0), *pair("b", 1)], format), [(name, 0), ("b", 1)])


def test_sparse_members(tmp_path: Path) -> None:
    """Check GNU tar's sparse format 1.0: a map before the data, and zeros that are not stored."""
    caption = b"text 0".ljust(1024, b" ")
    stored = b"1\n0\n512\n".ljust(512, b"\0") + caption[:512]
    attributes = {"major": "1", "minor": "0", "name": "a.txt", "realsize": "1024"}
    info = tarfile.TarInfo("GNUSparseFile.0/a.txt")
    info.size, info.pax_headers = (
        len(stored),
        {f"GNU.sparse.{key}": value for key, value in attributes.items()},
    )
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(stored))
    (tmp_path / "a.tar").write_bytes(tar(pair("a", 0)[:1]) + file.getvalue())
    ((name, members),) = read_members(tmp_path / "a.tar", SkippedSamples("s"))
    assert (name, members) == ("a", {"jpg": PICTURES[0], "txt": caption[:512] + bytes(512)})


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_archives_that_follow_one_another_are_all_read(tmp_path: Path, pack) -> None:
    one, other = tar(pair("a", 0)), tar([*pair("a", 1), *pair("b", 2)])
    wanted = [("a", 0), ("a", 1), ("b", 2)]
    check(tmp_path / "a.tar", pack(one + other), wanted)
    check(tmp_path / "a.tar", pack(one) + pack(other), wanted)
    skipped = check(tmp_path / "a.tar", pack(one + b"something else"), wanted[:1])
    assert skipped.reasons == {"truncated or corrupt shard": 1}


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_damaged_header_in_the_middle_is_counted(tmp_path: Path, pack) -> None:
    whole = bytearray(tar([*pair("a", 0), *pair("b", 1), *pair("c", 2)]))
    header = bytes(whole).index(b"b.txt")
    whole[header + 100] ^= 1  # a flipped bit, so that the checksum is wrong
    skipped = check(tmp_path / "a.tar", pack(bytes(whole)), [("a", 0)], of_samples_that_are_cut_off=1)
    assert skipped.reasons == {"truncated or corrupt shard": 1}


def claiming(size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return a shard whose last header claims a size."""
    info = tarfile.TarInfo("z.jpg")
    info.size, info.type = max(size, 0), kind
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    if size < 0:
        header[124:136] = b"\xff" * 4 + struct.pack(">q", size)
        header[148:156] = b" " * 8
        header[148:156] = f"{sum(header):06o}\0 ".encode()
    return tar([*pair("a", 0), *pair("b", 1)]).rstrip(b"\0") + bytes(506) + bytes(header) + bytes(1024)


@pytest.mark.parametrize("size", [4096, 2**30, 2**62, 8**11 - 1, -512, -4096, -(2**62)])
@pytest.mark.parametrize(
    "kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.GNUTYPE_SPARSE]
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_header_that_claims_more_than_is_left_ends_the_shard_at_once(
    tmp_path: Path, size: int, kind: bytes, pack
) -> None:
    begin = time.process_time()
    (tmp_path / "a.tar").write_bytes(pack(claiming(size, kind)))
    used, skipped = read(tmp_path / "a.tar")
    assert used[0] == ("a", 0, "text 0")
    assert skipped.reasons.total() == 1
    assert time.process_time() - begin < 2


def test_a_large_member_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("intrinsic_clip.data.formats.shards.LARGEST_MEMBER", 5)
    (tmp_path / "a.tar").write_bytes(tar(pair("a", 0)))
    _, skipped = read(tmp_path / "a.tar")
    assert skipped.reasons == {"member of more than 128 MiB": 1}


def test_a_shard_that_expands_without_end_is_given_up(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tar_members, "SMALL_EXPANSION", 2**20)
    monkeypatch.setattr(tar_members, "LARGEST_PADDING", 2**20)
    bombs = {
        "content": tar([*pair("a", 0), ("b.jpg", bytes(2**24))]),
        "padding": tar(pair("a", 0)) + bytes(2**24),
    }
    for name, bomb in bombs.items():
        (tmp_path / name).write_bytes(gzip.compress(bomb))
        used, skipped = read(tmp_path / name)
        assert skipped.reasons == {"truncated or corrupt shard": 1}, name
        assert used == ([("a", 0, "text 0")] if name == "content" else [])


def test_shards_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tar")
    (tmp_path / "folder.tar").mkdir()
    (tmp_path / "packed.tar.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    reasons = {
        "pipe.tar": "shard is a pipe, not a regular file",
        "folder.tar": "shard is a directory, not a regular file",
        "absent.tar": "missing shard",
    }
    for name, reason in reasons.items():
        assert read(tmp_path / name)[1].reasons == {reason: 1}
    assert len(read(tmp_path / "packed.tar.zst")[1]) == 1
    assert read(Path("/dev/zero"))[1].reasons == {"shard is a device, not a regular file": 1}
    with pytest.raises(
        ConfigError, match=r"1 of 1 are no regular files, the first .*pipe.tar; expected .tar"
    ):
        expand(str(tmp_path / "pipe.tar"))


NAMES = st.sampled_from(["a", "b", "./a", "x/a", "a.b", ".h", "._a", "__MACOSX/a", "LICENSE"])
EXTENSIONS = st.sampled_from(["jpg", "JPG", "png", "img.jpg", "txt", "caption", "json", "cls", "v1.txt", ""])
CONTENTS = st.sampled_from([b"", b"text", b'{"caption": "c"}', b"\xff", PICTURES[0], PICTURES[1]])
FILES = st.tuples(st.tuples(NAMES, EXTENSIONS).map(lambda parts: ".".join(filter(None, parts))), CONTENTS)
LINKED = st.tuples(
    NAMES.map(lambda name: f"{name}.jpg"), st.sampled_from([*LINKS]), NAMES.map(lambda n: f"{n}.jpg")
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    archives=st.lists(st.lists(FILES | LINKED, max_size=12), min_size=1, max_size=3),
    format=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    packed=st.booleans(),
)
def test_every_member_is_counted_once(tmp_path: Path, archives, format: int, packed: bool) -> None:
    path = tmp_path / "a.tar"
    content = b"".join(tar(entries, format) for entries in archives)
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    used, skipped = read(path)
    assert skipped.members.total() == sum(map(len, archives))
    assert skipped.seen == len(used) + len(skipped)
    assert "truncated or corrupt shard" not in skipped.reasons
    assert skipped.members[USED] >= 2 * len(used) - skipped.members[OF_SKIPPED]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_shard_loses_nothing_without_a_word(
    tmp_path: Path, place: int, bit: int, cut: bool
) -> None:
    entries = [entry for i in range(4) for entry in pair(f"{i}", i)]
    content = bytearray(tar(entries))
    place %= len(content)
    if cut:
        del content[place:]
    else:
        content[place] ^= 1 << bit
    (tmp_path / "a.tar").write_bytes(content)
    skipped = SkippedSamples("s")
    samples = [decode(*sample, 8, skipped) for sample in read_members(tmp_path / "a.tar", skipped)]
    usable = sum(sample is not None for sample in samples)
    assert skipped.seen == usable + len(skipped)
    assert usable == 4 or len(skipped) > 0
