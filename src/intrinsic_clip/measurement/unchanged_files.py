"""Notice files that change while they are read: rows of two contents would be taken for one."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from intrinsic_clip.dimension.row_source import RowSource


class WatchedFiles:
    """Files, files of patterns and files below folders, with their sizes and times when this was made.

    Args:
        named: what is read, by setting.
    """

    def __init__(self, named: Mapping[str, str]) -> None:
        self._stamps = {
            setting: {file: _stamp(file) for file in _files(value)} for setting, value in named.items()
        }

    def check(self) -> None:
        """Check that all are as they were.

        Raises:
            ConfigError: one was changed, replaced or removed.
        """
        for setting, stamps in self._stamps.items():
            for file, stamp in stamps.items():
                if _stamp(file) != stamp:
                    raise ConfigError(
                        f"{setting}: {file} changed while it was read, so nothing is written; run the command again"
                    )

    def blocks(self, source: "RowSource", size: int) -> Iterator[tuple[int, "Tensor"]]:
        """Yield the blocks of rows of a source, each while the files are as they were.

        Rows of a mapped file that was cut short cannot be touched without ending the process.

        Raises:
            ConfigError: one was changed.
        """
        blocks = source.blocks(size)
        self.check()
        for start, block in blocks:
            self.check()
            yield start, block
            self.check()


def check_address(folder: Path, settings: Mapping[str, Any], verb: str) -> None:
    """Check that files have the content that a folder is named by; one that is gone was read before.

    Args:
        folder: of the verb's numbers.
        settings: the address depends on.
        verb: `measure` or `shared`.

    Raises:
        ConfigError: a file has changed since, so that numbers of other rows would be taken for those of its content.
    """
    from intrinsic_clip.measurement import loading

    if settings["x"] is None:
        return
    try:
        present = loading.folder_of(settings, verb)
    except ConfigError:
        return
    if present != folder:
        raise ConfigError(
            "a file changed while it was measured, so nothing is written; run the command again"
        )


def _files(value: str) -> list[Path]:
    """Return the files that a setting names."""
    from intrinsic_clip.runs.contents import expand_pattern

    path = Path(value)
    with suppress(OSError):  # too long for a name
        if path.is_dir():
            return sorted(file for file in path.rglob("*") if file.is_file())
        if set(value) & set("{*?[") and not path.exists():
            return expand_pattern(value)
    return [path]


def _stamp(file: Path) -> tuple[int, ...] | None:
    """Return what changes with a file's content; None where there is no file."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_size, status.st_ino, status.st_mtime_ns
