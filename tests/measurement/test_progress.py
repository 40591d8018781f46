"""Progress of a measurement: a bar for a person, a line now and then for a file, long searches beforehand."""

import io

import pytest

from intrinsic_clip.measurement.progress import Progress, duration


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def searched(progress: Progress, clock: Clock, blocks: int, seconds: float, rows: int = 1000) -> None:
    """Run a measurement whose search does `blocks` of 1,000 blocks, each of that many rows and seconds."""
    stages = [(label, lambda: None) for label in ("x: neighbours", "x: MLE", "y: neighbours", "y: MLE")]
    for label, _ in progress.watch(stages):
        if label == "x: neighbours":
            for _ in range(blocks):
                clock.now += seconds
                progress.report(rows, 1000 * rows)


def test_a_long_search_is_announced_once_with_what_would_shorten_it() -> None:
    clock, stream = Clock(), io.StringIO()
    searched(Progress(stream, clock), clock, 20, 10.8)
    lines = stream.getvalue().splitlines()
    assert lines[0] == (
        "x: about 3 h for the neighbours of all 1,000,000 rows, and about as long for y; max_points=… does not limit "
        "mle, twonn and gride, which search all rows; subsample=20000 measures that many rows, drawn at random"
    )
    assert sum("about as long" in line for line in lines) == 1
    assert lines[-1] == "x: neighbours: 1.9 % of 1,000,000 rows, about 3 h left"


def test_lines_come_now_and_then_and_no_carriage_return() -> None:
    clock, stream = Clock(), io.StringIO()
    searched(Progress(stream, clock), clock, 1000, 0.2)
    shown = stream.getvalue()
    assert "\r" not in shown
    assert 5 <= len(shown.splitlines()) <= 22
    assert (
        "x: neighbours: 50 % of 1,000,000 rows, about 2 min left" in shown
        or " 49 %" in shown
        or " 5" in shown
    )


def test_a_short_measurement_prints_nothing_to_a_file() -> None:
    clock, stream = Clock(), io.StringIO()
    searched(Progress(stream, clock), clock, 1000, 0.001)
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar_with_rows_and_time() -> None:
    clock, stream = Clock(), Terminal()
    searched(Progress(stream, clock), clock, 30, 10.0)
    shown = stream.getvalue()
    assert "x: about 3 h for the neighbours" in shown
    assert "3.0 % of 1,000,000 rows, about 3 h left" in shown
    assert "4/4" in shown


def test_rows_that_are_searched_again_are_no_more_than_all() -> None:
    clock, stream = Clock(), io.StringIO()
    searched(Progress(stream, clock), clock, 1100, 1.0)
    assert "some rows again, with more digits" in stream.getvalue()
    assert "110 %" not in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1 s"), (99, "99 s"), (101, "2 min"), (5990, "100 min"), (7200, "2 h"), (200_000, "2 days")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
