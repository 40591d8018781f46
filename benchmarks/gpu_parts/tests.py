"""Run the tests marked gpu."""

import re
import subprocess
import sys
import time
from pathlib import Path

from gpu_parts.record import Record
from gpu_parts.settings import Settings

ROOT = Path(__file__).parents[2]


def run(settings: Settings, record: Record, ends: float) -> None:
    """Run pytest, and keep how many tests passed and which failed.

    Raises:
        SystemExit: one failed.
    """
    marked = ["-m", "gpu"] if settings.device == "cuda" else ["-m", "not gpu"]
    few = ["-k", "temperature"] if settings.smoke else []
    command = [
        sys.executable, "-m", "pytest", "tests/gpu", *marked, *few, "-rfE", "--tb=short",
        "-p", "no:cacheprovider", "--timeout", "60", "--durations", "5",
    ]  # fmt: skip
    left = max(5.0, ends - time.monotonic() - 2)
    try:
        completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=left)
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
        print(output.decode(errors="replace") if isinstance(output, bytes) else output)
        record.add("pytest", reason=f"not done after {left:.0f} s")
        sys.exit(1)
    print(completed.stdout[-20_000:], completed.stderr[-4000:], flush=True)
    counts = {
        kind: int(n) for n, kind in re.findall(r"(\d+) (passed|failed|error|skipped)", completed.stdout)
    }
    record.add("pytest", **counts)
    for line in re.findall(r"^(?:FAILED|ERROR) .*$", completed.stdout, re.MULTILINE):
        record.add(line.split(" - ")[0], reason=line.partition(" - ")[2])
    if completed.returncode:
        sys.exit(completed.returncode)
