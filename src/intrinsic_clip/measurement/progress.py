"""Show how far a measurement or a training is: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from threading import Event, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from intrinsic_clip.measurement.measurements import Stage

LONG = 60.0  # seconds of a search that are announced
SURE = 1.0  # seconds of a search after which its length is estimated
BETWEEN_LINES = 10.0  # seconds, at first; a line in ten of the time that has passed is enough later
SEARCH = ": neighbours"  # how the labels of searches among all rows end
ASKED = ": neighbours of those asked"  # likewise of searches of the neighbours of some rows


class Display:
    """A bar on a terminal; elsewhere lines, of which few come, since carriage returns would fill a file.

    Args:
        stream: where to show it.
        clock: seconds that pass.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.clock = clock
        self.bar: Any = None
        self.begun = self.last_line = clock()

    def open_bar(self, unit: str, total: int | None = None) -> Any:
        """Return a bar if someone watches, None elsewhere."""
        if not self.stream.isatty():
            return None
        from tqdm import tqdm

        return tqdm(total=total, unit=unit, dynamic_ncols=True, file=self.stream)

    def line(self, text: str) -> None:
        """Print a line, unless the last one was printed a short while ago."""
        now = self.clock()
        if now - self.last_line >= max(BETWEEN_LINES, (now - self.begun) / 10):
            self.last_line = now
            print(text, file=self.stream, flush=True)


class TrainingProgress(Display):
    """Follows trainings one after the other, and other work whose parts are counted.

    Args:
        shown: whether anything is shown.
        stream, clock: as of Display.
    """

    def __init__(
        self, shown: bool, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(stream, clock)
        self.shown, self.label = shown, ""
        self.stage_begun = self.begun

    def __enter__(self) -> "TrainingProgress":
        self.bar = self.open_bar("") if self.shown else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()

    def report(self, label: str, done: int, total: int) -> None:
        """Show that so many parts of a stage are done."""
        if label != self.label:
            self.label, self.stage_begun = label, self.clock()
            if self.bar is not None:
                self.bar.reset(total)
                self.bar.set_description_str(label)
        if self.bar is not None:
            self.bar.update(done - self.bar.n)
        elif self.shown:
            left = (self.clock() - self.stage_begun) / done * (total - done)
            self.line(f"{label}: {done:,} of {total:,}, about {duration(left)} left")

    def say(self, stage: str) -> None:
        """Name a stage that is not counted."""
        if self.bar is not None:
            self.bar.set_description_str(stage)
        elif self.shown:
            self.line(stage)


class Progress(Display):
    """Follows the stages of a measurement, and the rows done within a search; announces long searches.

    Args:
        stream, clock: as of Display.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream, clock)
        self.label = ""
        self.others: list[str] = []
        self.first = self.begun
        self.announced, self.reports = False, 0
        self.done = self.before = 0  # rows of this search, and those of its first report

    def watch(self, stages: Sequence["Stage"]) -> Iterator["Stage"]:
        """Yield the stages beside a bar that names the one at work."""
        labels = [label for label, _ in stages]
        bar = self.bar = self.open_bar("stage", len(stages))
        with nullcontext() if bar is None else bar, nullcontext() if bar is None else _ticking(bar.refresh):
            for index, (label, work) in enumerate(stages):
                self._begin(label, labels[index + 1 :])
                if bar is None:
                    self.line(f"{label} (stage {index + 1} of {len(stages)})")
                else:
                    bar.set_description_str(label.ljust(max(map(len, labels))))
                    bar.set_postfix_str("")
                yield label, work
                if bar is not None:
                    bar.update()

    def report(self, rows: int, total: int) -> None:
        """Show that more rows of a search are done."""
        now = self.clock()
        self.reports += 1
        if self.reports == 1:  # the time before it went into preparation
            self.first, self.before = now, rows
        self.done += rows
        sure = self.reports > 2 and now - self.first >= SURE
        percent = 100 * self.done / total
        state = f"{percent:.{1 if percent < 10 else 0}f} % of {total:,} rows"
        if self.done > total:
            state = "some rows again, with more digits"
        elif sure:
            seconds = (now - self.first) / (self.done - self.before) * (total - self.done)
            self._announce(seconds, total)
            state += f", about {duration(seconds)} left"
        if self.bar is not None:
            self.bar.set_postfix_str(state)
        elif sure:
            self.line(f"{self.label}: {state}")

    def _announce(self, seconds: float, total: int) -> None:
        """Say once, when a search has begun, how long it will take, and what would make it shorter."""
        if self.announced or seconds < LONG:
            return
        self.announced = True
        side = self.label.partition(":")[0]
        kind = ASKED if self.label.endswith(ASKED) else SEARCH
        others = [label.removesuffix(kind) for label in self.others if label.endswith(kind)]
        as_long = f", and about as long for {' and '.join(others)}" if others else ""
        remedy = "max_points=… limits them"
        if self.label.endswith(SEARCH):
            remedy = (
                "max_points=… does not limit mle, twonn and gride, which search all rows; "
                "subsample=20000 measures that many rows, drawn at random"
            )
        work = f"the neighbours of all {total:,} rows"
        if self.label.endswith(ASKED):
            work, remedy = f"the neighbours of those asked among all {total:,} rows", "queries=… asks fewer"
        text = f"{side}: about {duration(seconds)} for {work}{as_long}; {remedy}"
        if self.bar is not None:
            self.bar.write(text, file=self.stream)
        else:
            print(text, file=self.stream, flush=True)
            self.last_line = self.clock()

    def _begin(self, label: str, others: list[str]) -> None:
        self.label, self.others = label, others
        self.announced, self.reports = False, 0
        self.done = self.before = 0
        self.first = self.clock()


def duration(seconds: float) -> str:
    """Return a length of time in the unit that suits it, such as 40 s, 12 min or 3 h.

    Example:
        >>> [duration(seconds) for seconds in (0.2, 40, 700, 11_000, 500_000)]
        ['1 s', '40 s', '12 min', '3 h', '6 days']
    """
    for unit, size, most in (("s", 1, 100), ("min", 60, 100 * 60), ("h", 3600, 48 * 3600)):
        if seconds < most:
            return f"{max(1, round(seconds / size))} {unit}"
    return f"{round(seconds / 86_400):,} days"


@contextmanager
def _ticking(refresh: Callable[[], object]) -> Iterator[None]:
    """Refresh every second, since a stage can take minutes and a frozen clock looks like a crash."""
    done = Event()

    def tick() -> None:
        while not done.wait(1):
            refresh()

    Thread(target=tick, daemon=True).start()
    try:
        yield
    finally:
        done.set()
