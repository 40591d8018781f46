"""Files are replaced in one step: by many processes at once, over links and devices, and after a kill."""

import os
import signal
import stat

import pytest

from intrinsic_clip.runs import atomic
from intrinsic_clip.runs.atomic import make_folder, write_atomically


def _in_children(count: int, work) -> list[int]:
    """Call a function with the number of each child; return the exit codes."""
    children = []
    for number in range(count):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                work(number)
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]


def test_eight_processes_write_one_file_and_lose_nothing(tmp_path) -> None:
    path = tmp_path / "results.json"

    def write(number: int) -> None:
        for _ in range(25):
            write_atomically(path, str(number) * 10_000)
            content = path.read_text()
            assert content == content[0] * 10_000

    assert _in_children(8, write) == [0] * 8
    assert os.listdir(tmp_path) == ["results.json"]


def test_the_temporary_file_of_a_killed_process_goes_with_the_next_write_and_that_of_a_living_one_stays(
    tmp_path, monkeypatch
) -> None:
    path = tmp_path / "page [1].html"

    def die(*_) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die)
        assert _in_children(2, lambda _: write_atomically(path, "torn")) == [-signal.SIGKILL] * 2
    assert 1 <= len(os.listdir(tmp_path)) <= 2  # the second may have come later, and removed the first's
    assert not path.exists()
    living, descriptor = atomic._open_unfinished(path)
    write_atomically(path, "whole")
    assert {*tmp_path.iterdir()} == {path, living}
    os.close(descriptor)
    write_atomically(path, "again")
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_text() == "again"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch) -> None:
    path = tmp_path / "results.json"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell runs in the background
    for failure in (full, lambda _: signal.raise_signal(signal.SIGINT)):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failure)
            with pytest.raises((OSError, KeyboardInterrupt)) as raised:
                write_atomically(path, "new")
        if isinstance(raised.value, OSError):
            assert (raised.value.filename, raised.value.strerror) == (str(path), "No space left on device")
        assert path.read_text() == "old"
        assert os.listdir(tmp_path) == ["results.json"]


def test_a_folder_that_is_read_only_is_told_by_the_output_not_by_its_temporary_file(
    tmp_path, monkeypatch
) -> None:
    path, source, opened = tmp_path / "a.npy", tmp_path / "rows.npy", os.open

    def read_only(name, flags, *rest, **options) -> int:
        if flags & os.O_CREAT:
            raise OSError(30, "Read-only file system", str(name))
        return opened(name, flags, *rest, **options)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(OSError, match="Read-only file system") as raised, atomic.writing(path):
        pass
    assert raised.value.filename == str(path)
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError) as raised, atomic.writing(path):
        source.open()
    assert raised.value.filename == str(source)


def test_a_link_keeps_its_place_and_a_file_its_permissions(tmp_path) -> None:
    target, link, dangling = tmp_path / "there" / "page", tmp_path / "link", tmp_path / "dangling"
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to("there/page")
    dangling.symlink_to(tmp_path / "there" / "new")
    for path in (link, dangling):
        write_atomically(path, "new")
        assert path.is_symlink()
        assert path.resolve().read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert sorted(os.listdir(target.parent)) == ["new", "page"]


def test_the_permissions_of_a_new_file_are_the_users(tmp_path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_only_files_are_replaced(tmp_path) -> None:
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write_atomically(atomic.Path("/dev/full"), "a page")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)
    write_atomically(atomic.Path("/dev/null"), "a page")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="No such device or address"):  # nobody reads, and nobody waits
        write_atomically(pipe, "a page")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, "a page")
    assert os.read(reader, 100) == b"a page"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path, "a page")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written_is_not_replaced(tmp_path) -> None:
    path = tmp_path / "kept"
    path.write_text("old")
    path.chmod(0o444)
    with pytest.raises(PermissionError):
        write_atomically(path, "new")


def test_a_long_name_in_any_script_is_written(tmp_path) -> None:
    for name in ("ä" * 125 + ".html", "caf\udce9"):  # the last is not UTF-8
        path = tmp_path / name
        write_atomically(path, "a")
        write_atomically(path, "b")
        assert os.listdir(tmp_path) == [name]
        path.unlink()


def test_the_file_is_on_the_disk_before_its_name_and_its_name_before_the_end(tmp_path, monkeypatch) -> None:
    steps = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda d: steps.append(os.readlink(f"/proc/self/fd/{d}")) or fsync(d))
    monkeypatch.setattr(os, "replace", lambda a, b: steps.append("rename") or replace(a, b))
    make_folder(tmp_path / "a" / "b")
    assert steps == [str(tmp_path / "a"), str(tmp_path)] or steps == [str(tmp_path), str(tmp_path / "a")]
    steps.clear()
    write_atomically(tmp_path / "a" / "b" / "page", "x")
    assert steps[0].endswith(".tmp")
    assert steps[1:] == ["rename", str(tmp_path / "a" / "b")]
