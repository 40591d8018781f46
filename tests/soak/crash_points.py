"""Kill a piece of work before each of its file operations, resume it, and compare all numbers with undisturbed ones.

A second way also cuts what a power failure may cut: bytes of files that no `fsync` has covered, and names of files
and folders that no `fsync` of their folder has.
"""

import os
import random
import shutil
import signal
import stat
import sys
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from soak.scenarios import Scenario, left_over, numbers, scenarios
from soak.warm_children import Ended, child

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
EVENTS = {
    "os.rename": 2,
    "os.remove": 1,
    "os.rmdir": 1,
    "os.mkdir": 1,
    "os.truncate": 1,
}  # arguments that are paths


class Observer:
    """Count the file operations of this process below a folder, and kill it before one of them.

    Args:
        folder: the folder; operations elsewhere do not count.
        fatal: number of the operation before which the process is killed; None: it lives.
        cut: a seed for what is cut of the unsynced; None: nothing is.
    """

    def __init__(self, folder: Path, fatal: int | None = None, cut: int | None = None) -> None:
        self.folder, self.fatal, self.cut = str(folder.resolve()), fatal, cut
        self.count, self.busy = 0, False
        self.synced = {path.stat().st_ino: path.stat().st_size for path in self._files()}
        self.unsynced_names: dict[
            str, bytes | None
        ] = {}  # content before the change; None: there was no file

    def start(self) -> None:
        """Observe from now on; there is no way back."""
        fsync, replace = os.fsync, os.replace

        def observed_fsync(descriptor: int) -> None:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            self._note("fsync", path)
            fsync(descriptor)
            self._mark_synced(descriptor, path)

        def observed_replace(source: Any, target: Any) -> None:
            before = Path(target).read_bytes() if Path(target).exists() else None
            replace(source, target)
            self.unsynced_names.setdefault(os.path.abspath(target), before)

        os.fsync, os.replace = observed_fsync, observed_replace
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.busy:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = (flags or 0) & WRITING or (isinstance(mode, str) and set(mode) & set("wax+"))
            if writes and isinstance(path, str | bytes | os.PathLike):
                self._note(event, os.fsdecode(path))
        elif event in EVENTS:
            self._note(event, os.fsdecode(arguments[EVENTS[event] - 1]))

    def _note(self, event: str, path: str) -> None:
        path = os.path.abspath(path)
        if not path.startswith(self.folder) or self.busy:
            return
        if self.count == self.fatal:
            self.busy = True
            if self.cut is not None:
                self._cut(random.Random(self.cut))
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1
        if event in ("open", "os.mkdir") and not os.path.exists(path):
            self.unsynced_names.setdefault(path, None)

    def _mark_synced(self, descriptor: int, path: str) -> None:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            self.unsynced_names = {k: v for k, v in self.unsynced_names.items() if os.path.dirname(k) != path}
        else:
            self.synced[status.st_ino] = status.st_size

    def _cut(self, draw: random.Random) -> None:
        """Undo some of what is not synced, as a power failure might."""
        for path in self._files():
            status = path.stat()
            least = self.synced.get(status.st_ino, 0)
            if status.st_size > least:
                os.truncate(path, draw.choice((least, draw.randint(least, status.st_size))))
        for name, before in reversed(self.unsynced_names.items()):
            path = Path(name)
            if draw.random() < 0.3:  # the system may have written it by itself
                continue
            if before is not None:
                path.write_bytes(before)
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return [path for path in Path(self.folder).rglob("*") if path.is_file() and not path.is_symlink()]


class CrashPoints:
    """Every crash point of a scenario, one after the other.

    Attributes:
        operations: number of file operations of the undisturbed work.
        expected: the numbers that it ends with.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            scenario.prepare(folder)
            ended = child(folder, lambda: self._observed(folder, None, None))
            assert ended.code == 0, ended.out + ended.err
            self.operations = int(ended.out.rpartition("operations: ")[2])
            self.expected = numbers(folder)
            assert self.expected
            assert left_over(folder) == []

    def check(self, point: int, cut: int | None) -> str | None:
        """Kill the work before an operation, resume it, and return what went wrong, if anything did."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self.scenario.prepare(folder)
            killed = child(folder, lambda: self._observed(folder, point, cut))
            if killed.code != -signal.SIGKILL:
                return f"was not killed: {_last(killed)}"
            if cut is not None:
                self.scenario.spoil(folder)
            resumed = child(folder, self.scenario.work)
            if resumed.code or resumed.has_traceback:
                return f"did not resume: {_last(resumed)}"
            reached = numbers(folder)
            if reached != self.expected:
                differing = [
                    k for k in {**reached, **self.expected} if reached.get(k) != self.expected.get(k)
                ]
                return f"other numbers: {', '.join(differing)}"
            return f"left {left_over(folder)}" if left_over(folder) else None

    def _observed(self, folder: Path, point: int | None, cut: int | None) -> None:
        observer = Observer(folder, point, cut)
        observer.start()
        self.scenario.work()
        print(f"operations: {observer.count}")


@cache
def _crash_points(name: str) -> CrashPoints:
    return CrashPoints(scenarios()[name])


def campaign(n: int, seed: int, names: tuple[str, ...] = ()) -> Counter[str]:
    """Visit the next `n` crash points of each scenario, in a fixed random order; return counts of what happened.

    Args:
        n: how many; each file operation is visited twice, once with a power cut.
        seed: number of the part, which says where to continue; after every point, other cuts are drawn.
        names: of the scenarios; empty: all.
    """
    counts: Counter[str] = Counter()
    for name in names or scenarios():
        points = _crash_points(name)
        every = [(point, cut) for cut in (False, True) for point in range(points.operations)]
        random.Random(name).shuffle(every)
        for place in range(n * seed, n * seed + n):
            point, cut = every[place % len(every)]
            fault = points.check(point, place if cut else None)
            counts["crash points"] += 1
            if place == len(every) - 1:
                counts[f"scenarios ({name}: {len(every)} points) visited whole"] += 1
            if fault:
                counts["faults"] += 1
                print(f"{name}, before operation {point}, cut={place if cut else None}: {fault}", flush=True)
    return counts


def _last(ended: Ended) -> str:
    return f"exit code {ended.code}, {(ended.err or ended.out).strip()[-600:]}"
