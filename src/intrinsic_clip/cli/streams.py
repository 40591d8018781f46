"""Write to stdout and stderr whatever they are: closed, full, a pipe that nobody reads, or without Unicode.

A run's last words must not cost its results, so writing to these two streams never raises.
"""

import io
import os
import select
import sys
from typing import Any

NAMES = ("stdin", "stdout", "stderr")


def make_tolerant() -> None:
    """Open what is closed on the null device, and have stdout and stderr drop what cannot be written.

    Streams that something else has put in their place, such as a test or a notebook, are left alone.
    """
    _open_closed()
    for name in ("stdout", "stderr"):
        stream, original = getattr(sys, name), getattr(sys, f"__{name}__")
        if stream is None:
            setattr(sys, name, _tolerant(NAMES.index(name), "utf-8", False))
        elif (
            stream is original
            and isinstance(stream, io.TextIOWrapper)
            and isinstance(_raw(stream), io.FileIO)
        ):
            setattr(sys, name, _tolerant(stream.fileno(), stream.encoding, stream.line_buffering))


class TolerantFile(io.RawIOBase):
    """Unbuffered file that drops bytes, and everything that follows, once they cannot be written.

    Args:
        descriptor: the file, already open; it is not closed with this object.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.descriptor, self.mode = descriptor, "wb"

    @property
    def name(self) -> int:
        """The descriptor, as of files that were opened by it."""
        return self.descriptor

    def fileno(self) -> int:
        """Return the descriptor."""
        return self.descriptor

    def isatty(self) -> bool:
        """Return whether a terminal shows it."""
        return os.isatty(self.descriptor)

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any, /) -> int:
        """Write some bytes, and return how many; after an error the rest goes to the null device."""
        try:
            return os.write(self.descriptor, data)
        except BlockingIOError:
            select.select([], [self.descriptor], [])
            return self.write(data)
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.descriptor)
            os.close(null)
            return len(data)


def _tolerant(descriptor: int, encoding: str, line_buffering: bool) -> io.TextIOWrapper:
    """Return a text stream in which characters without a code become escapes."""
    return io.TextIOWrapper(
        io.BufferedWriter(TolerantFile(descriptor)),
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=line_buffering or descriptor == NAMES.index("stderr"),
    )


def _raw(stream: io.TextIOWrapper) -> Any:
    return getattr(stream.buffer, "raw", stream.buffer)


def _open_closed() -> None:
    """Occupy the three standard descriptors, so that no file of a run gets one and then holds its messages."""
    for descriptor in range(len(NAMES)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor, which is this one
