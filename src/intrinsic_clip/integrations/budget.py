"""Find how many rows can be measured within so many seconds."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Result = TypeVar("Result")
FIRST = 100  # rows
SHARES = (0.1, 0.2, 0.85)  # of the time left that a step may take by prediction
STEP = 5  # times as many rows, at most, in a trial as before
STEADY = 0.25  # share of the time, at least, that grows with the rows: a smaller one would be noise


@dataclass(frozen=True)
class Affordable(Generic[Result]):
    """The largest measurement that fits, and how it was found.

    Attributes:
        result: of the measurement.
        rows: that were measured.
        predicted: seconds that all rows would have taken; None where they were measured.
        left: seconds of the budget that were left for them.
    """

    result: Result
    rows: int
    predicted: float | None
    left: float = 0.0


@dataclass(frozen=True)
class Cost:
    """Seconds that so many rows take: a fixed part, and one that grows with the square of the rows or faster."""

    fixed: float
    growing: float
    power: float = 2.0

    def of(self, rows: int) -> float:
        """Return the seconds that so many rows take."""
        return self.fixed + self.growing * rows**self.power

    def reach(self, seconds: float) -> int:
        """Return the rows that fit into so many seconds."""
        return int((max(0.0, seconds - self.fixed) / self.growing) ** (1 / self.power))


def within(
    seconds: float, n: int, run: Callable[[int], Result], clock: Callable[[], float] = time.perf_counter
) -> Affordable[Result]:
    """Measure as many of n rows as fit into so many seconds, by what trials with few rows took.

    Args:
        seconds: for all, trials included.
        n: rows at hand.
        run: measures so many of them.
        clock: seconds that pass.
    """
    begun = clock()
    rows, trials = min(n, FIRST), list[tuple[int, float]]()
    result, took = _timed(run, rows, clock)
    cost = _cost([(rows, took)])
    for share in SHARES:
        if rows == n:
            break
        reach = cost.reach(share * (seconds - (clock() - begun)))
        reach = min(n, reach, STEP * rows if share != SHARES[-1] else n)
        if reach <= 1.2 * rows and reach < n:
            continue
        result, took = _timed(run, reach, clock)
        rows = reach
        trials.append((rows, took))  # without the first: the first use of a library takes longer
        cost = _cost(trials[-2:])
    left = seconds - (clock() - begun)
    if rows < n <= STEP * rows and cost.of(n) <= left:  # a first trial was slow, and all rows do fit
        return Affordable(run(n), n, None)
    return Affordable(result, rows, None if rows == n else cost.of(n), max(0.0, left))


def _timed(run: Callable[[int], Result], rows: int, clock: Callable[[], float]) -> tuple[Result, float]:
    start = clock()
    return run(rows), max(1e-6, clock() - start)


def _cost(trials: list[tuple[int, float]]) -> Cost:
    """Return the cost that explains two trials; of one alone, all of it grows."""
    rows, took = trials[-1]
    if len(trials) == 1:
        return Cost(0.0, took / rows**2)
    before, took_before = trials[0]
    power = math.log(took / took_before) / math.log(rows / before)
    if power > 2:
        return Cost(0.0, took / rows ** min(power, 3.0), min(power, 3.0))
    growing = max((took - took_before) / (rows**2 - before**2), STEADY * took / rows**2)
    return Cost(took - growing * rows**2, growing)
