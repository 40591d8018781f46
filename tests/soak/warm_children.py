"""Run command lines in children of a process that has imported everything already: no seconds of import each."""

import contextlib
import gc
import importlib
import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

LIMIT = 240.0  # seconds that a child may take
IMPORTED = (
    "torch",
    "torch._dynamo",
    "torchmetrics",
    "pytorch_lightning",
    "sklearn",
    "matplotlib.backends.backend_agg",
    "intrinsic_clip.cli.program",
    "intrinsic_clip.measurement.measurements",
    "intrinsic_clip.reports.measurement_page",
    "intrinsic_clip.reports.measurement_picture",
    "intrinsic_clip.reports.page.write",
    "intrinsic_clip.training.finish",
    "intrinsic_clip.training.fit",
)
CRASHED = 70  # exit code of a child with a traceback


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        code: its exit code, or minus the signal that killed it.
        out, err: all that it wrote to stdout and stderr.
    """

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Lines on stderr, without warnings."""
        return [line for line in self.err.splitlines() if line.startswith("intrinsic-clip: ")]

    @property
    def has_traceback(self) -> bool:
        """Whether an error was not reported in one line."""
        return self.code == CRASHED or "Traceback (most recent call last)" in self.out + self.err


def warm_up() -> None:
    """Import what the verbs import, before the first child; nothing is computed, so that no threads are running."""
    for module in IMPORTED:
        importlib.import_module(module)
    importlib.import_module("torch").set_num_threads(1)
    gc.freeze()  # else each child copies all that its garbage collector visits


def command(folder: Path, arguments: Sequence[str], before: Callable[[], object] = lambda: None) -> Ended:
    """Run `intrinsic-clip …` in a child, in this folder.

    Args:
        folder: working folder.
        arguments: verb and arguments.
        before: called in the child first, to prepare its end.
    """

    def work() -> None:
        before()
        command_line(arguments)

    return child(folder, work)


def command_line(arguments: Sequence[str]) -> None:
    """Run `intrinsic-clip …` in this process, which must be a child."""
    from hydra.core.global_hydra import GlobalHydra

    from intrinsic_clip.cli import program

    GlobalHydra.instance().clear()  # the parent may be composing a config
    sys.argv = ["intrinsic-clip", *arguments]
    program.main()


def child(folder: Path, work: Callable[[], object], after: float | None = None) -> Ended:
    """Call a function in a child, in this folder; `after` so many seconds the child is killed."""
    return started(folder, work).wait(after)


@dataclass(frozen=True)
class Started:
    """Child that was started.

    Attributes:
        pid: its process id.
        logs: descriptors of the files that hold what it writes to stdout and stderr.
    """

    pid: int
    logs: tuple[int, int]

    def written(self) -> str:
        """Return what it has written to stdout so far."""
        return os.pread(self.logs[0], os.fstat(self.logs[0]).st_size, 0).decode(errors="replace")

    def wait(self, after: float | None = None) -> Ended:
        """Wait for its end; after so many seconds it is killed."""
        code = _wait(self.pid, after)
        texts = []
        for log in self.logs:
            os.lseek(log, 0, os.SEEK_SET)
            with os.fdopen(log, "rb") as file:
                texts.append(file.read().decode(errors="replace"))
        return Ended(code, *texts)


def started(folder: Path, work: Callable[[], object]) -> Started:
    """Start a child that calls a function in this folder."""
    sys.stdout.flush()
    sys.stderr.flush()
    logs = os.memfd_create("out"), os.memfd_create("err")
    pid = os.fork()
    if not pid:
        _be_child(folder, work, logs)
    return Started(pid, logs)


def _be_child(folder: Path, work: Callable[[], object], logs: Sequence[int]) -> None:
    code = CRASHED
    try:
        os.dup2(logs[0], 1)
        os.dup2(logs[1], 2)
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(os.fdopen(number, "wb", closefd=False), encoding="utf-8", line_buffering=True)
            for number in (1, 2)
        )
        signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the parent ignores it
        os.chdir(folder)
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


def _wait(pid: int, after: float | None) -> int:
    """Return the exit code of a child, which is killed after so many seconds."""
    deadline = time.monotonic() + (LIMIT if after is None else after)
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
