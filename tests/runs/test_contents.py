"""Digests depend on what files hold, and change with it."""

import os
import socket
import sqlite3
import time
from pathlib import Path

import pytest

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs import contents
from intrinsic_clip.runs.contents import contents_digest, expand_pattern, file_digest, matching_paths


def _folder(path: Path, **files: str) -> Path:
    path.mkdir(parents=True)
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def test_where_a_folder_lies_does_not_count_but_every_file_in_it_does(tmp_path) -> None:
    one, other = (_folder(tmp_path / name, a="1", b="2") for name in ("one", "other"))
    first = contents_digest("data.folder", [one])
    assert contents_digest("data.folder", [other]) == first
    (other / ".DS_Store").write_text("a file manager was here")
    assert contents_digest("data.folder", [other]) == first
    (other / "b").write_text("3")
    assert contents_digest("data.folder", [other]) != first
    (other / "b").write_text("2")
    (other / "b").rename(other / "c")
    assert contents_digest("data.folder", [other]) != first


def test_the_folder_that_runs_write_to_is_left_out(tmp_path) -> None:
    folder = _folder(tmp_path / "set", a="1")
    first = contents_digest("data.folder", [folder], folder / "outputs")
    _folder(folder / "outputs", results="of a run")
    assert contents_digest("data.folder", [folder], folder / "outputs") == first


def test_the_kind_of_a_file_counts_since_it_decides_how_it_is_read(tmp_path) -> None:
    folder = _folder(tmp_path / "set", **{"x.csv": "1", "x.tsv": "1", "y.csv": "1"})
    csv, tsv, renamed = (contents_digest("x", [folder / name]) for name in ("x.csv", "x.tsv", "y.csv"))
    assert csv == renamed != tsv


def test_the_order_of_files_counts_since_shards_are_read_in_it(tmp_path) -> None:
    folder = _folder(tmp_path / "s", **{"a.tar": "1", "b.tar": "2", "c.tar": "3"})
    listed, backwards, matched = (
        contents_digest("data.shards", matching_paths(f"{folder}/{names}.tar"))
        for names in ("{a,b,c}", "{c,b,a}", "*")
    )
    assert backwards != listed == matched
    (folder / "a.tar").rename(folder / "d.tar")
    assert contents_digest("data.shards", matching_paths(f"{folder}/*.tar")) != listed
    renamed = contents_digest("data.shards", matching_paths(f"{folder}/{{d,b,c}}.tar"))
    assert renamed == listed


def test_files_and_folders_keep_the_digest_that_finished_runs_are_found_by(tmp_path) -> None:
    folder = _folder(tmp_path / "set", b="1", a="2", **{"x.CSV": "3"})
    _folder(folder / "a.d", c="4")
    assert contents_digest("data.folder", [folder]) == "c9b786ec22d9"
    assert contents_digest("data.x", [folder / "x.CSV"]) == "d9adadb74dcc"


def test_a_large_file_rewritten_under_its_name_with_its_size_and_time_is_noticed(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(contents, "LARGE", 0)
    monkeypatch.setattr(contents, "SETTLED", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "x.npy"
    file.write_text("1234")
    time.sleep(0.01)
    first = file_digest("x", file)
    before = file.stat()
    monkeypatch.setattr(contents, "_sha256", lambda path: pytest.fail("was hashed already"))
    assert file_digest("x", file) == first
    monkeypatch.undo()
    monkeypatch.setattr(contents, "LARGE", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    time.sleep(0.02)
    file.write_text("4321")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file_digest("x", file) != first


def test_a_file_that_changed_just_now_is_not_remembered(tmp_path, monkeypatch) -> None:
    assert contents.SETTLED > 0
    monkeypatch.setattr(contents, "LARGE", 0)
    monkeypatch.setattr(contents, "SETTLED", 3600.0)  # more than a busy machine takes until the digest
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "x.npy"
    file.write_text("1234")
    file_digest("x", file)
    with sqlite3.connect(tmp_path / "cache" / "intrinsic-clip" / "digests.sqlite") as cache:
        assert cache.execute("SELECT count(*) FROM digests").fetchone() == (0,)


@pytest.mark.parametrize("damage", ["digest", "stamp", "type", "text", "empty", "cut", "folder"])
def test_a_damaged_cache_of_digests_is_not_believed(tmp_path, monkeypatch, damage) -> None:
    monkeypatch.setattr(contents, "LARGE", 0)
    monkeypatch.setattr(contents, "SETTLED", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file, path = tmp_path / "x.npy", tmp_path / "cache" / "intrinsic-clip" / "digests.sqlite"
    file.write_text("1234")
    time.sleep(0.01)
    first = file_digest("x", file)
    changes = {
        "digest": "sha256 = 'a' || substr(sha256, 2)",
        "stamp": "stamp = 3",
        "type": "sha256 = x'00ff'",
    }
    if damage in changes:
        with sqlite3.connect(path) as cache:
            assert cache.execute("SELECT count(*) FROM digests").fetchone() == (1,)
            cache.execute(f"UPDATE digests SET {changes[damage]}")
    elif damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        whole = path.read_bytes()
        path.write_bytes(
            {"text": b"no database at all, but text" * 9, "empty": b"", "cut": whole[:5000]}[damage]
        )
    assert file_digest("x", file) == first
    assert file_digest("x", file) == first
    if damage != "folder":
        monkeypatch.setattr(contents, "_sha256", lambda path: pytest.fail("is remembered again"))
        assert file_digest("x", file) == first


def test_without_a_place_for_the_cache_files_are_hashed_anew(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(contents, "LARGE", 0)
    (tmp_path / "cache").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "x").write_text("1")
    assert file_digest("x", tmp_path / "x") == contents._sha256(tmp_path / "x")


def test_patterns(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    _folder(tmp_path / "s", **{"00.tar": "", "01.tar": "", "b.tar": ""})
    assert [path.name for path in expand_pattern("s/{00..02}.tar")] == ["00.tar", "01.tar", "02.tar"]
    assert [path.name for path in matching_paths("s/{00..02}.tar")] == ["00.tar", "01.tar"]
    assert [path.name for path in matching_paths("s/?.tar")] == ["b.tar"]
    assert (
        matching_paths("a photo of a {}.") == matching_paths("no\0path") == matching_paths("x" * 5000) == []
    )
    assert matching_paths("local-dir:s") == [Path("s")]


def test_a_pipe_is_no_content(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert matching_paths(str(tmp_path / "pipe")) == []
    assert contents_digest("data.folder", [tmp_path]) == contents_digest("data.folder", [])


def test_links_in_a_circle_are_followed_once(tmp_path, monkeypatch) -> None:
    folder = _folder(tmp_path / "set", a="1")
    first = contents_digest("data.folder", [folder])
    (folder / "again").symlink_to(folder)
    (folder / "above").symlink_to("/")
    assert contents_digest("data.folder", [folder]) == first
    for name, other in (("one", "other"), ("other", "one")):
        _folder(folder / name, **{f"{name}.txt": "2"})
        (folder / name / "link").symlink_to(folder / other)
    assert contents_digest("data.folder", [folder]) != first
    names = sorted(name for name, _ in contents._files(folder, None))
    assert names == ["a", "one/link/other.txt", "one/one.txt", "other/link/one.txt", "other/other.txt"]
    for i in range(6):
        _folder(folder / f"{i}")
        for j in range(6):
            (folder / f"{i}" / f"to {j}").symlink_to(folder / f"{j}")
    monkeypatch.setattr(contents, "MOST_WAYS", 20)
    with pytest.raises(ConfigError, match=r"set: links lead to .* in more than 20 ways"):
        contents_digest("data.folder", [folder])


def test_what_has_no_end_is_no_file(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "zero.npy").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    reasons = {
        "pipe.npy": "is a pipe, not a regular file",
        "zero.npy": "is a device, not a regular file",
        "socket": "is a socket, not a regular file",
        ".": "is a directory, not a regular file",
    }
    for name, reason in reasons.items():
        with pytest.raises(ConfigError, match=f"x=.*: {reason}$"):
            file_digest("x", tmp_path / name)
    with pytest.raises(ConfigError, match=r"x=/proc/kmsg: is made up by the kernel, not a regular file"):
        file_digest("x", Path("/proc/kmsg"))


ENDLESS = [
    "{0..99999999999}",
    "{0..9}{0..199999}",
    "{{0..999},a}{0..2000}",
    "{a,b}" * 21,
    f"{{1..{'9' * 5000}}}",
]


@pytest.mark.parametrize("pattern", ENDLESS)
def test_a_pattern_of_endless_names_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"more than 1,000,000 names"):
        expand_pattern(f"s/{pattern}.tar")
    assert matching_paths(f"a photo of {pattern}") == []


def test_what_cannot_be_read_is_named(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"^x=.*nothing: no such file or directory$"):
        file_digest("x", tmp_path / "nothing")
