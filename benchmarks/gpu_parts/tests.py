"""Run the tests marked gpu."""

import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from gpu_parts.record import Record
from gpu_parts.settings import Settings

ROOT = Path(__file__).parents[2]
WORKERS = 8  # most of a test is compiling and starting, which one processor core does


def run(settings: Settings, record: Record, ends: float) -> None:
    """Run pytest, and keep how many tests passed and which failed, also of those that had ended in time.

    Raises:
        SystemExit: one failed, or there was too little time.
    """
    printed = settings.kept_of("pytest").with_suffix(".txt")
    left = max(5.0, ends - time.monotonic() - 2)
    with printed.open("wb") as file:
        try:
            code = subprocess.run(
                _command(settings), cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, timeout=left
            ).returncode
        except subprocess.TimeoutExpired:
            code = None
    output = printed.read_text(errors="replace")
    print(output[-20_000:], flush=True)
    record.add("pytest", **counts(output))
    for name, why in re.findall(r"^(?:FAILED|ERROR) (\S+)(?: - (.*))?$", output, re.MULTILINE):
        record.add(name, reason=why)
    if code is None:
        record.add("the other tests", reason=f"not done after {left:.0f} s")
    if code != 0:
        sys.exit(1)


def counts(output: str) -> dict[str, int]:
    """Return how many tests passed, failed and were skipped, from what `pytest -vv` prints as they end."""
    ended = re.findall(r"(?:^| )(PASSED|FAILED|ERROR|SKIPPED)(?: |$)", _before_summary(output), re.MULTILINE)
    return {kind.lower(): ended.count(kind) for kind in dict.fromkeys(ended)}


def _before_summary(output: str) -> str:
    return re.split(
        r"^=+ .*(?:FAILURES|ERRORS|short test summary).*$", output, maxsplit=1, flags=re.MULTILINE
    )[0]


def _command(settings: Settings) -> list[str]:
    marked = ["-m", "gpu"] if settings.device == "cuda" else ["-m", "not gpu"]
    few = ["-k", "temperature"] if settings.smoke else []
    several = ["-n", str(WORKERS)] if find_spec("xdist") and not settings.smoke else []
    return [
        sys.executable, "-m", "pytest", "tests/gpu", *marked, *few, *several, "-vv", "-rfE", "--tb=short",
        "-p", "no:cacheprovider", "--timeout", "60", "--durations", "5",
    ]  # fmt: skip
