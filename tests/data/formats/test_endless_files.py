"""No reader waits for what has no end, or takes the memory that a small file claims."""

import os
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from intrinsic_clip.data.formats import npz_members
from intrinsic_clip.data.formats.arrays import Key, read_array
from intrinsic_clip.data.formats.class_labels import read_labels
from intrinsic_clip.data.formats.tables import read_json, read_table, require_setting_file
from intrinsic_clip.errors import ConfigError

PIPE, DEVICE, FOLDER = (
    "is a pipe, not a regular file",
    "is a device, not a regular file",
    "is a directory, not a regular file",
)
ARRAYS = [".npy", ".npz", ".csv", ".parquet", ".safetensors"]
READERS: list[tuple[Callable[[Path], object], list[str]]] = [
    (read_array, ARRAYS),
    (lambda path: read_labels(path, Key()), [".csv", ".tsv", ".txt", ".parquet", ".npy", ".npz"]),
    (read_table, [".csv", ".tsv", ".parquet"]),
    (read_json, [".json"]),
    (lambda path: require_setting_file("table", path), [".csv"]),
]


@pytest.mark.parametrize(("read", "extensions"), READERS)
def test_pipes_devices_and_folders_are_refused_by_every_reader(tmp_path: Path, read, extensions) -> None:
    for extension in extensions:
        pipe, device, folder = (tmp_path / f"{name}{extension}" for name in ("pipe", "device", "folder"))
        os.mkfifo(pipe)
        device.symlink_to("/dev/zero")
        folder.mkdir()
        for path, reason in ((pipe, PIPE), (device, DEVICE), (folder, FOLDER)):
            with pytest.raises(ConfigError, match=reason):
                read(path)


def write_claim(path: Path, shape: tuple[int, ...], content: bytes, kind: str = "<f4") -> Path:
    """Write an .npz whose array claims a shape."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"shape": shape, "fortran_order": False, "descr": kind})
        member.write(content)
    return path


def test_a_claim_beyond_the_archive_or_the_memory_is_refused(tmp_path: Path, monkeypatch) -> None:
    path = write_claim(tmp_path / "x.npz", (10**9, 1000), bytes(4000))
    with pytest.raises(ConfigError, match=r"claims 4,000,000,000,000 bytes, of which it holds 4,"):
        read_array(path)
    monkeypatch.setattr(npz_members, "_free_memory", lambda: 2**20)
    bomb = write_claim(tmp_path / "x.npz", (2**18, 4), bytes(2**22))
    with pytest.raises(
        ConfigError, match=r"expands to 4,194,304 bytes, more than the 1,048,576 that are free"
    ):
        read_array(bomb)
    monkeypatch.undo()
    rows, _ = read_array(bomb)
    assert rows.shape == (2**18, 4)
    np.savez(path, x=np.array([{}], object))
    with pytest.raises(ConfigError, match="Python objects"):
        read_array(path)


def test_nested_json_is_no_hang_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 200_000)
    with pytest.raises(ConfigError, match=r"a.json: damaged, or not JSON"):
        read_json(tmp_path / "a.json")


COMMANDS = {
    "measure x=pipe.npy": "x=pipe.npy: is a pipe, not a regular file",
    "measure x=/dev/zero": "x=/dev/zero: is a device, not a regular file",
    "train data=embeddings data.x=pipe.npy data.y=pipe.npy": "pipe.npy: is a pipe, not a regular file",
    "train data=webdataset data.shards=pipe.tar": "1 of 1 are no regular files, the first pipe.tar; expected .tar",
    "train data=webdataset 'data.shards=\"{0..99999999999}.tar\"'": "stands for more than 1,000,000 names",
    "train data=captions_folder data.folder=photos": "photos: captions.csv is a pipe, not a regular file",
    "train data=coco data.folder=photos data.annotations=pipe.json": "is a pipe, not a regular file",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_that_are_given_no_end_of_input_end_in_one_line(
    tmp_path: Path, command_line, capsys, command: str
) -> None:
    for name in ("pipe.npy", "pipe.tar", "pipe.json", "photos/captions.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        os.mkfifo(tmp_path / name)
    towers = (
        ["encoder=pixels_and_tokens"] if command.startswith("train") and "embeddings" not in command else []
    )
    assert command_line(*shlex.split(command), *towers) == 2
    error = capsys.readouterr().err
    assert COMMANDS[command] in error
    assert error.count("\n") == 1
