"""Do in one go what needs a GPU: its tests, figures 3 and 4 at full size, speed, and a million rows.

    python benchmarks/gpu.py [--output outputs/gpu] [--parts figure_3 speed] [--limit 480] [--again]
    python benchmarks/gpu.py --device cpu --smoke        # every part in miniature, where there is no GPU

Each part is a process with a time limit of its own. What it measures is kept as it comes: a part that fails or takes
too long leaves the numbers it has and its last lines, and the next one begins. The same command again skips the parts
that are done, and goes on with a training from its checkpoint.

The output folder gets gpu.json and gpu.md, and figure_3.json and figure_4.json with every final number of every
replicate, and mean and spread along the way. Runs themselves lie in `outputs/`, as always.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_parts.machine import describe_machine
from gpu_parts.record import Record, read_numbers
from gpu_parts.settings import Settings
from gpu_parts.tables import as_markdown

SECONDS = {  # of each part; None: an equal share of what the others leave
    "tests": 60,
    "figure_3": None,
    "figure_4": None,
    "speed": 60,
    "estimators": 25,
    "losses": 25,
    "open_clip": 40,
    "million_rows": 55,
}
TITLES = {
    "tests": "Tests marked gpu",
    "figure_3": "Figure 3 at size=paper",
    "figure_4": "Figure 4 at size=paper",
    "speed": "A training step",
    "estimators": "Estimators of 20,000 points",
    "losses": "Loss of a large batch",
    "open_clip": "open_clip ViT-B/32 with probes",
    "million_rows": "`measure` of a million rows",
}
LEAST_SECONDS = 10  # a part is not begun with less
LAST_LINES = 12


@dataclass(frozen=True)
class Outcome:
    """How a part ended.

    Attributes:
        status: done, done in part (something has a reason in place of numbers), failed or out of time.
        seconds: that it took.
        numbers: what it measured, in order.
        last_lines: of its output, where it is not done.
    """

    status: str
    seconds: float
    numbers: list[dict[str, Any]]
    last_lines: list[str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts, and return 1 if one is not done."""
    options = _options(arguments)
    settings = Settings(options.device, options.smoke, Path(options.output).resolve(), Path(options.runs))
    if options.only is not None:
        return _run_here(options.only, settings, options.seconds)
    settings.output.mkdir(parents=True, exist_ok=True)
    reason = _missing_device(settings)
    if reason is not None:
        print(reason, file=sys.stderr)
        return 2
    kept = {} if options.again else _kept(settings)
    parts = options.parts or list(SECONDS)
    ends = time.monotonic() + options.limit
    for index, name in enumerate(parts):
        if kept.get(name, {}).get("status") == "done":
            print(f"{TITLES[name]}: done already", flush=True)
            continue
        seconds = ends - time.monotonic()
        if not settings.smoke:
            seconds = _seconds(parts[index:], seconds)
        outcome = _run_apart(name, settings, seconds)
        kept[name] = vars(outcome)
        _write(settings, kept)
        print(f"{TITLES[name]}: {outcome.status} after {outcome.seconds:.0f} s", flush=True)
        print("\n".join(outcome.last_lines), flush=True)
    print((settings.output / "gpu.md").read_text() if kept else "", flush=True)
    return int(any(kept[name]["status"] != "done" for name in parts))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument(
        "--smoke", action="store_true", help="everything in miniature; the numbers mean nothing"
    )
    parser.add_argument("--parts", nargs="+", choices=list(SECONDS), help="by default all, in this order")
    parser.add_argument("--limit", type=float, default=480.0, help="seconds of all parts together")
    parser.add_argument("--output", default="outputs/gpu", help="folder of the results")
    parser.add_argument("--runs", default="outputs", help="folder of the trainings")
    parser.add_argument("--again", action="store_true", help="do again the parts that are done")
    parser.add_argument("--only", choices=list(SECONDS), help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=480.0, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _run_here(name: str, settings: Settings, seconds: float) -> int:
    """Run one part in this process."""
    from importlib import import_module

    ends = time.monotonic() + seconds
    import_module(f"gpu_parts.{name}").run(settings, Record(settings.numbers_of(name)), ends)
    return 0


def _run_apart(name: str, settings: Settings, seconds: float) -> Outcome:
    """Run one part in a process of its own, and end it when its time is over."""
    numbers, log = settings.numbers_of(name), settings.log_of(name)
    numbers.unlink(missing_ok=True)
    started = time.monotonic()
    if seconds < LEAST_SECONDS:
        return Outcome("out of time", 0.0, [], [f"only {seconds:.0f} s were left"])
    command = [
        sys.executable, __file__, "--only", name, "--device", settings.device, "--output", str(settings.output),
        "--runs", str(settings.runs), "--seconds", f"{seconds:.0f}", *(["--smoke"] if settings.smoke else []),
    ]  # fmt: skip
    beside = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(beside)}  # PYTHONSAFEPATH may hide gpu_parts
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True, env=environment
        )
        try:
            status = "done" if process.wait(seconds) == 0 else "failed"
        except subprocess.TimeoutExpired:
            status = "out of time"
        finally:
            _end(process)
    lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
    measured = [*read_numbers(numbers), *_rescued(name, settings, status)]
    if status == "done" and any("reason" in each for each in measured):
        status = "done in part"
    return Outcome(status, time.monotonic() - started, measured, [] if status == "done" else lines)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a part and the processes it started, which share its session and may outlive it."""
    import signal

    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _rescued(name: str, settings: Settings, status: str) -> list[dict[str, Any]]:
    """Return what an unfinished training has logged so far."""
    if status == "done" or not name.startswith("figure"):
        return []
    from gpu_parts.compact import write_unfinished

    try:
        return write_unfinished(name, settings)
    except Exception as error:  # nothing was logged yet
        return [{"name": "so far", "reason": f"{type(error).__name__}: {error}"}]


def _seconds(left: Sequence[str], seconds: float) -> float:
    """Return the time of the first of the parts that are left: its own, or an equal share of what the others leave."""
    own = SECONDS[left[0]]
    if own is not None:
        return min(own, seconds)
    fixed = sum(SECONDS[name] or 0 for name in left)
    shares = sum(SECONDS[name] is None for name in left)
    return (seconds - fixed) / shares


def _kept(settings: Settings) -> dict[str, Any]:
    """Return the parts that an earlier start on such a device has done."""
    try:
        written = json.loads((settings.output / "gpu.json").read_bytes())
    except (OSError, ValueError):
        return {}
    same = written.get("smoke") == settings.smoke and written.get("machine") == describe_machine(
        settings.device
    )
    return dict(written["parts"]) if same else {}


def _write(settings: Settings, kept: dict[str, Any]) -> None:
    machine = describe_machine(settings.device)
    content = {
        "machine": machine,
        "smoke": settings.smoke,
        "written": time.strftime("%Y-%m-%d"),
        "parts": kept,
    }
    for name, text in (("gpu.json", json.dumps(content, indent=1)), ("gpu.md", as_markdown(content, TITLES))):
        unfinished = settings.output / f".{name}"
        unfinished.write_text(text + "\n")
        os.replace(unfinished, settings.output / name)


def _missing_device(settings: Settings) -> str | None:
    """Return why the parts cannot run here; None if they can."""
    if settings.device == "cpu" and not settings.smoke:
        return "--device cpu: takes hours at full size; add --smoke"
    if settings.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            return "no GPU: PyTorch finds none on this machine; --device cpu --smoke tries the parts in miniature"
    return None


if __name__ == "__main__":
    sys.exit(main())
