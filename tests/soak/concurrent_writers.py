"""Have many processes write the same files at once; nothing may be lost or torn."""

import json
import random
import tempfile
from collections import Counter
from pathlib import Path

from intrinsic_clip.runs.sealed import read_sealed, write_sealed
from soak.scenarios import numbers, scenarios
from soak.warm_children import child, started

WRITERS, TIMES = 8, 100


def campaign(n: int, seed: int) -> Counter[str]:
    """Write `n` times from eight processes at once, and train one run from two; return counts of what happened."""
    counts: Counter[str] = Counter()
    for number in range(-(-n // (WRITERS * TIMES))):
        counts["concurrent writes"] += WRITERS * TIMES
        counts["faults"] += _faults_of_writers(random.Random(seed + number))
    counts["concurrent trainings"] += 2
    counts["faults"] += _faults_of_trainings()
    return counts


def _faults_of_writers(draw: random.Random) -> int:
    """Return how many of the writers failed, or read what none of them had written."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "results.json"
        sizes = [draw.randrange(1, 20_000) for _ in range(WRITERS)]

        def write(number: int) -> None:
            for turn in range(TIMES):
                write_sealed(path, {"writer": number, "turn": turn, "text": str(number) * sizes[number]})
                content = read_sealed(path)
                assert content is not None
                assert content["text"] == str(content["writer"]) * sizes[content["writer"]], json.dumps(
                    content
                )[:100]

        waiting = [started(Path(name), lambda number=number: write(number)) for number in range(WRITERS)]
        failed = sum(writer.wait().code != 0 for writer in waiting)
        return failed + (len(list(Path(name).iterdir())) != 1)


def _faults_of_trainings() -> int:
    """Train one run from two processes at once: one may be refused, the numbers are those of one alone."""
    run = scenarios()["run"]
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as alone:
        waiting = [started(Path(name), run.work) for _ in "12"]
        codes = sorted(training.wait().code for training in waiting)
        child(Path(alone), run.work)
        return (codes not in ([0, 0], [0, 2])) + (numbers(Path(name)) != numbers(Path(alone)))
