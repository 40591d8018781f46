"""Hash what files hold, so that a run is addressed by its data and not by their names.

Files of many megabytes are hashed once and remembered in the user's cache folder, under path, size, inode and times,
as git's index does: a file that was rewritten in the meantime is hashed again.
"""

import hashlib
import json
import os
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from glob import iglob
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

from intrinsic_clip.errors import ConfigError, system_reason
from intrinsic_clip.runs.regular_files import is_made_up, require_regular

BRACES = re.compile(r"\{([^{}]*)\}")  # the innermost ones
NUMBERED = re.compile("\0([0-9]+)\0")
COUNTED = re.compile(r"([0-9]+)\.\.([0-9]+)")
FILE_MANAGERS = {".DS_Store", "Thumbs.db"}  # written by file managers that show a folder
LARGE = 2**26  # total bytes from which on digests are cached
DIGITS = 18  # of a number in braces; Python refuses to read thousands
MOST_NAMES = 1_000_000  # that a pattern may stand for
MOST_WAYS = 1000  # in which links may lead to one folder
SETTLED = 2.0  # seconds since the last change, after which equal times mean equal contents
Stamp = tuple[int, int, int, int]  # size, inode, time of the last change of contents, and of the inode


def digest(content: Any) -> str:
    """Return a digest of a JSON value: twelve hexadecimal digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def file_digest(setting: str, path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        ConfigError: it cannot be read; the message names the setting.
    """
    return _digests(setting, [path])[path]


def source_digest(setting: str, value: str) -> str:
    """Return a digest of what a setting names: a file, all files below a folder, or those of a pattern in its order.

    Raises:
        ConfigError: it cannot be read; the message names the setting.
    """
    path = Path(value)
    with suppress(OSError):  # too long for a name
        if path.is_dir():
            return contents_digest(setting, [path])
        if set(value) & set("{*?[") and not path.exists():
            files = expand_pattern(value)
            if any(file.exists() for file in files):  # else it is a name with braces in it
                digests = _digests(setting, files)
                return digest([digests[file] for file in files])
    return file_digest(setting, path)


def contents_digest(setting: str, paths: Iterable[Path], excluded: Path | None = None) -> str:
    """Return a digest of the contents of files, and of all files below folders.

    Names in a folder count, and the order of the paths, in which they are read; locations do not.

    Args:
        setting: what names the paths, for the message of an error.
        paths: files and folders, in the order in which they are read.
        excluded: a folder to leave out, such as the one that runs write to.

    Raises:
        ConfigError: a file cannot be read.
    """
    named = [sorted(_files(path, excluded)) for path in paths]
    digests = _digests(setting, [file for files in named for _, file in files])
    return digest([[name, digests[file]] for files in named for name, file in files])


def weights_digest(weights: str | None) -> str | None:
    """Return a key for weights: the digest of a file or a folder, or the unchanged name of a model."""
    return weights if weights is None else named_contents("encoder", weights) or weights


def named_contents(setting: str, value: str, excluded: Path | None = None) -> str | None:
    """Return a digest of what a value names on disk; None where that is nothing, or a folder without any file.

    All empty folders are alike, so that one which has the name of an array by chance would stand for every such name.

    Args:
        setting, excluded: as of `contents_digest`.
        value: a path, a pattern, or any other text.

    Raises:
        ConfigError: a file cannot be read.
    """
    paths = matching_paths(value)
    holds_files = any(True for path in paths for _ in _files(path, excluded))
    return contents_digest(setting, paths, excluded) if holds_files else None


def matching_paths(value: str) -> list[Path]:
    """Return the files or folder that a setting names, by its path or a pattern; empty if it names nothing on disk."""
    path = Path(value.removeprefix("local-dir:"))
    with suppress(OSError, ValueError):  # too long for a path, holds a NUL, or stands for too many
        if path.is_file() or path.is_dir():
            return [path]
        if set(value) & set("{*?["):
            return [path for path in expand_pattern(value) if path.is_file()]
    return []


def expand_pattern(pattern: str) -> list[Path]:
    """Return the paths that a pattern names: `{000..127}` counts, `{a,b}` lists, `*` and `?` match existing files.

    Raises:
        ConfigError: it stands for more than a million names.
    """
    paths: list[str] = []
    for name in _braces(pattern):
        matches = sorted(islice(iglob(name), MOST_NAMES + 1 - len(paths)))
        paths += matches if matches or set(name) & set("*?[") else [name]
        if len(paths) > MOST_NAMES:
            raise ConfigError(f"{pattern}: matches more than {MOST_NAMES:,} names")
    return [Path(name) for name in paths]


def _braces(pattern: str) -> list[str]:
    """Return the names that the braces of a pattern stand for, in order and each once."""
    if _count(pattern) > MOST_NAMES:
        raise ConfigError(f"{pattern[:200]}: stands for more than {MOST_NAMES:,} names")
    return list(dict.fromkeys(_expanded(pattern)))  # braces in braces name some of them twice


def _expanded(pattern: str) -> Iterator[str]:
    match = BRACES.search(pattern)
    if match is None:
        yield pattern
        return
    before, after = pattern[: match.start()], pattern[match.end() :]
    for option in _options(match[1]):
        yield from _expanded(before + option + after)


def _options(text: str) -> list[str]:
    """Return the texts that stand between a pair of braces, or that a range there counts."""
    counted = COUNTED.fullmatch(text)
    if counted is None:
        return text.split(",")
    first, last = counted.groups()
    return [str(i).zfill(len(first)) for i in range(int(first), int(last) + 1)]


def _count(pattern: str) -> int:
    """Return how many names the braces of a pattern stand for; any number beyond the limit may be too small."""

    def number(match: re.Match[str]) -> str:
        counted = COUNTED.fullmatch(match[1])
        if counted is None:
            total = sum(_product(option) for option in match[1].split(","))
        else:
            short = max(map(len, counted.groups())) <= DIGITS
            total = max(0, int(counted[2]) - int(counted[1]) + 1) if short else MOST_NAMES + 1
        return f"\0{min(total, MOST_NAMES + 1)}\0"

    while BRACES.search(pattern):
        pattern = BRACES.sub(number, pattern)
    return _product(pattern)


def _product(pattern: str) -> int:
    """Return the product of the numbers that stand for braces."""
    return prod(int(number) for number in NUMBERED.findall(pattern))


def _files(path: Path, excluded: Path | None) -> Iterator[tuple[str, Path]]:
    """Yield a file by its extension, or all files below a folder by their paths in it.

    Links to folders are followed, except back to a folder that they are in.
    """
    if not path.is_dir():
        yield path.suffix.lower(), path
        return
    left_out = None if excluded is None else excluded.resolve()
    entered: Counter[Path] = Counter()
    for folder, folders, names in os.walk(path, followlinks=True):
        inside = (
            _resolved_to(path, Path(folder)) if any(map(os.path.islink, _joined(folder, folders))) else []
        )
        folders[:] = sorted(
            name
            for name in folders
            if (target := (Path(folder) / name).resolve()) != left_out
            and not (os.path.islink(Path(folder) / name) and _leads_back(target, inside, entered))
        )
        for name in sorted(set(names) - FILE_MANAGERS):
            file = Path(folder) / name
            if file.is_file() and not is_made_up(file):  # a pipe or a device has no contents to compare
                yield file.relative_to(path).as_posix(), file


def _leads_back(target: Path, inside: list[Path], entered: Counter[Path]) -> bool:
    """Return whether a link's target is one of the folders that it is in, or holds one.

    Args:
        inside: the folders that the link is in.
        entered: how often each folder was entered over a link.

    Raises:
        ConfigError: links lead to the folder in a thousand ways.
    """
    if any(target == parent or target in parent.parents for parent in inside):
        return True
    entered[target] += 1
    if entered[target] > MOST_WAYS:
        raise ConfigError(f"{inside[-1]}: links lead to {target} in more than {MOST_WAYS:,} ways")
    return False


def _resolved_to(root: Path, folder: Path) -> list[Path]:
    """Return a folder and those that it is in, up to the root, with all links resolved."""
    names = folder.relative_to(root).parts
    return [root.joinpath(*names[:depth]).resolve() for depth in range(len(names), -1, -1)]


def _joined(folder: str, names: list[str]) -> list[str]:
    return [os.path.join(folder, name) for name in names]


def _digests(setting: str, files: list[Path]) -> dict[Path, str]:
    """Return the SHA-256 of each file, from the cache where the file is unchanged."""
    try:
        stamps = {file: _stamp(file) for file in files}
        if sum(stamp[0] for stamp in stamps.values()) < LARGE:
            return {file: _sha256(file) for file in files}
        return _cached_digests(stamps)
    except OSError as error:
        reason = system_reason(error)
        raise ConfigError(f"{setting}={error.filename or files[0]}: {reason}") from error


def _cached_digests(stamps: dict[Path, Stamp]) -> dict[Path, str]:
    remembered: dict[Path, str] = {}
    with suppress(sqlite3.Error, OSError), closing(_open_cache()) as cache:
        for file, stamp in stamps.items():
            name = str(file.resolve())
            row = cache.execute("SELECT stamp, sha256, seal FROM digests WHERE path = ?", [name]).fetchone()
            if row and row[0] == repr(stamp) and row[2] == _seal(name, *row[:2]):
                remembered[file] = row[1]
    hashed = {file: _sha256(file) for file in stamps if file not in remembered}
    settled = (time.time() - SETTLED) * 1e9
    rows = [
        (name := str(file.resolve()), repr(stamps[file]), sha256, _seal(name, repr(stamps[file]), sha256))
        for file, sha256 in hashed.items()
        if max(stamps[file][2:]) < settled and _stamp(file) == stamps[file]
    ]
    with suppress(sqlite3.Error, OSError), closing(_open_cache()) as cache, cache:
        cache.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)", rows)
    return remembered | hashed


def _seal(name: str, stamp: str, sha256: str) -> str:
    """Return a checksum of a row of the cache: one flipped bit in a digest would be another address."""
    return digest([name, stamp, str(sha256)])


def _open_cache() -> sqlite3.Connection:
    """Open the cache of digests; one that is no database any more is started again."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(os.path.expanduser(base)) / "intrinsic-clip"
    folder.mkdir(parents=True, exist_ok=True)
    cache = sqlite3.connect(folder / "digests.sqlite", timeout=10)
    try:
        cache.execute(
            "CREATE TABLE IF NOT EXISTS digests (path TEXT PRIMARY KEY, stamp TEXT, sha256 TEXT, seal TEXT)"
        )
    except sqlite3.OperationalError:  # busy, or the disk is full or cannot be written
        raise
    except sqlite3.DatabaseError:
        cache.close()
        (folder / "digests.sqlite").unlink(missing_ok=True)
        raise
    return cache


def _stamp(file: Path) -> Stamp:
    status = require_regular(file)
    return status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
