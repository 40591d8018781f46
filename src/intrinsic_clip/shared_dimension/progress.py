"""Show how far an estimate is: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from types import TracebackType
from typing import Any, TextIO

from intrinsic_clip.measure.progress import duration

BETWEEN_LINES = 10.0  # seconds


class Progress:
    """Follows the trainings of an estimate.

    Args:
        shown: whether anything is shown.
        stream: where to show it.
    """

    def __init__(self, shown: bool, stream: TextIO | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.shown = shown
        self.bar: Any = None
        self.label = ""
        self.begun = self.last_line = time.monotonic()

    def __enter__(self) -> "Progress":
        if self.shown and self.stream.isatty():
            from tqdm import tqdm

            self.bar = tqdm(unit="step", dynamic_ncols=True, file=self.stream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()

    def report(self, label: str, done: int, steps: int) -> None:
        """Show that so many of a training's steps are done."""
        now = time.monotonic()
        if label != self.label:
            self.label, self.begun = label, now
            if self.bar is not None:
                self.bar.reset(steps)
                self.bar.set_description_str(f"training on {label}")
        if self.bar is not None:
            self.bar.update(done - self.bar.n)
        elif self.shown and now - self.last_line >= BETWEEN_LINES:
            left = (now - self.begun) / done * (steps - done)
            self._line(f"training on {label}: {done:,} of {steps:,} steps, about {duration(left)} left")

    def say(self, stage: str) -> None:
        """Name a stage that is not counted."""
        if self.bar is not None:
            self.bar.set_description_str(stage)
        elif self.shown and time.monotonic() - self.last_line >= BETWEEN_LINES:
            self._line(stage)

    def _line(self, text: str) -> None:
        self.last_line = time.monotonic()
        print(text, file=self.stream, flush=True)
