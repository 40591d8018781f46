"""Keep numbers as they come, so that none is lost when a part is ended."""

import json
import math
import time
from pathlib import Path
from typing import Any


class Record:
    """Appends numbers to a file, a line for each measurement.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, name: str, **numbers: Any) -> None:
        """Keep the numbers of one measurement, and print them."""
        line = json.dumps({"name": name, **{key: _plain(value) for key, value in numbers.items()}})
        with self.path.open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)

    def leave_out(self, name: str, why: str) -> None:
        """Keep why something is not measured here, by choice: the part is whole without it."""
        self.add(name, left_out=why)

    def attempt_in_time(self, ends: float, name: str, measure: Any, *arguments: Any) -> None:
        """Attempt a measurement, or keep that it would begin too late.

        Args:
            ends: the latest that it may begin, by `time.monotonic`.
            name, measure, arguments: as for `attempt`.
        """
        if time.monotonic() > ends:
            self.add(name, reason="too little time was left")
        else:
            self.attempt(name, measure, *arguments)

    def attempt(self, name: str, measure: Any, *arguments: Any) -> Any:
        """Return what a measurement gives, and keep it if it is a dict; or keep why it failed, and return None."""
        try:
            numbers = measure(*arguments)
        except Exception as error:  # the others are still worth having
            self.add(name, reason=" ".join(f"{type(error).__name__}: {error}".split())[:300])
            return None
        if isinstance(numbers, dict):
            self.add(name, **numbers)
        return numbers


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def read_numbers(path: Path) -> list[dict[str, Any]]:
    """Return the measurements in a file; a last line that was cut off is left out."""
    if not path.exists():
        return []
    measured = []
    for line in path.read_text().splitlines():
        try:
            measured.append(json.loads(line))
        except ValueError:
            continue
    return measured
