"""Kill work at random moments, again and again, until it ends; then compare all numbers with undisturbed ones."""

import random
import signal
import tempfile
import time
from collections import Counter
from functools import cache
from pathlib import Path

from soak.scenarios import Scenario, left_over, numbers, scenarios
from soak.warm_children import child

MOST = 40  # kills of one piece of work, before it is left to end


class Killed:
    """A scenario that is killed at random moments.

    Attributes:
        seconds: that it takes undisturbed.
        expected: the numbers that it ends with.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        with tempfile.TemporaryDirectory() as name:
            scenario.prepare(Path(name))
            started = time.monotonic()
            ended = child(Path(name), scenario.work)
            self.seconds = time.monotonic() - started
            assert ended.code == 0, ended.err
            self.expected = numbers(Path(name))

    def kill_until_done(self, draw: random.Random, most: int = MOST) -> tuple[int, str | None]:
        """Return the number of kills, and what went wrong, if anything did."""
        with tempfile.TemporaryDirectory() as name:
            folder, kills = Path(name), 0
            self.scenario.prepare(folder)
            while True:
                after = None if kills >= most else draw.uniform(0, 1.1 * self.seconds)
                ended = child(folder, self.scenario.work, after)
                if ended.code != -signal.SIGKILL:
                    break
                kills += 1
            if ended.code or ended.has_traceback:
                return kills, f"exit code {ended.code}: {ended.err[-500:]}"
            if numbers(folder) != self.expected:
                return kills, "other numbers"
            left = left_over(folder)
            return kills, f"left {left}" if left else None


@cache
def _every() -> list[Killed]:
    return [Killed(scenario) for scenario in scenarios().values()]


def campaign(n: int, seed: int) -> Counter[str]:
    """Kill until there were `n` kills, the scenarios in turn; return counts of what happened."""
    draw, counts = random.Random(seed), Counter[str]()
    while counts["kills"] < n:
        for killed in _every():
            kills, fault = killed.kill_until_done(draw)
            counts["kills"] += kills
            counts["ends compared"] += 1
            if fault:
                counts["faults"] += 1
                print(f"{killed.scenario.name}, after {kills} kills: {fault}", flush=True)
    return counts
