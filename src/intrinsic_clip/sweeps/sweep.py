"""A sweep: what each of its runs does in its own process, what became of it, and the table at the end."""

import contextlib
import os
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from intrinsic_clip import config
from intrinsic_clip.config.messages import EXPECTED, one_line
from intrinsic_clip.errors import InUse
from intrinsic_clip.runs import addresses, atomic, results
from intrinsic_clip.runs.locks import left_behind
from intrinsic_clip.runs.vocabulary import MAIN_NUMBERS, main_numbers

STATUSES = ("done", "resumed", "skipped", "failed", "interrupted", "not started")
RANKS = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")  # as Lightning sets them
FEW = 40  # runs; of more than these only the failed ones have a line


def job(cfg: DictConfig, started_in: str) -> str | None:
    """Train one run of a sweep, in whatever process a launcher chose; returns why it failed, or None.

    The reason is left in the run folder too, where it survives a launcher that loses what its jobs return.
    """
    from intrinsic_clip.training.composed import train_composed

    try:
        os.chdir(started_in)
        with _own_ranks():
            train_composed(cfg)
    except (Exception, SystemExit) as error:
        if not isinstance(error, EXPECTED):
            traceback.print_exc()
        if not isinstance(error, InUse):
            with contextlib.suppress(OSError):
                _leave_reason(addresses.run_folder(config.resolve(cfg)), error)
        return _reason(error)
    return None


@contextlib.contextmanager
def _own_ranks() -> Iterator[None]:
    """Forget what a DDP run leaves: the next one in this process would take itself for a process of that run."""
    ours = set(RANKS) - set(os.environ)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
        distributed = sys.modules.get("torch.distributed")
        if distributed and distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()


def _leave_reason(folder: Path, error: BaseException) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_atomically(folder / results.FAILED, _reason(error) + "\n")


def _reason(error: BaseException) -> str:
    return one_line(error) if isinstance(error, EXPECTED) else f"{type(error).__name__}: {one_line(error)}"


class Run:
    """One run of a sweep.

    Attributes:
        overrides: as Hydra's launchers take them.
        folder: where it writes.
        finished_before, begun_before: what the sweep found when it started.
    """

    def __init__(self, overrides: Sequence[str], folder: Path) -> None:
        self.overrides, self.folder = list(overrides), folder
        self.finished_before = self._found() is not None
        self.begun_before = any(folder.glob("**/last.ckpt"))
        self._reason: str | None = None

    def forget_failure(self) -> None:
        """It is tried again."""
        self._reason = None
        (self.folder / results.FAILED).unlink(missing_ok=True)

    def note_failure(self, reason: str | BaseException | None) -> None:
        """Keep what its job returned, or what a launcher raised in its place."""
        self._reason = _reason(reason) if isinstance(reason, BaseException) else reason

    def died(self) -> bool:
        """Whether it began, and neither finished nor said why it failed."""
        return left_behind(self.folder) and self._found() is None

    def begun(self) -> bool:
        """Whether there is a trace of it."""
        return left_behind(self.folder) or self._found() is not None or self._why() is not None

    def outcome(self, interrupted: bool) -> tuple[str, dict[str, Any] | str]:
        """Its status, and its results or the reason why there are none."""
        found = self._found()
        if found is not None:
            return "skipped" if self.finished_before else "resumed" if self.begun_before else "done", found
        reason = self._why()
        if reason or not interrupted:
            return "failed", reason or "its process ended without a word (killed?)"
        return "interrupted" if (self.folder / "config.yaml").exists() else "not started", ""

    def _found(self) -> dict[str, Any] | None:
        return results.read_completed(self.folder)

    def _why(self) -> str | None:
        with contextlib.suppress(OSError):
            return self._reason or (self.folder / results.FAILED).read_text().strip()
        return None


def announce(runs: Sequence[Run]) -> str:
    """What a sweep is going to do."""
    finished = sum(run.finished_before for run in runs)
    begun = sum(run.begun_before and not run.finished_before for run in runs)
    new = len(runs) - finished - begun
    return f"{_count(runs)}: {finished} finished, {begun} to go on with, {new} to begin"


def report(runs: Sequence[Run], interrupted: bool = False) -> tuple[str, bool]:
    """The table at the end of a sweep, and whether a run failed."""
    outcomes = [(run, *run.outcome(interrupted)) for run in runs]
    counts = Counter(status for _, status, _ in outcomes)
    common = set.intersection(*(set(run.overrides) for run in runs)) if runs else set()
    lines: list[tuple[str, str, list[str] | str, str]] = [("", "", [*MAIN_NUMBERS], "")]
    for run, status, found in outcomes:
        if len(runs) <= FEW or status == "failed":
            name = " ".join(override for override in run.overrides if override not in common)
            lines.append(
                (status, name, found if isinstance(found, str) else _numbers(found), str(run.folder))
            )
    summary = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    table = _aligned(lines) if len(lines) > 1 else []
    return "\n".join([*table, f"{_count(runs)}: {summary}"]), counts["failed"] > 0


def _count(runs: Sequence[Run]) -> str:
    return f"{len(runs)} run" + "s" * (len(runs) != 1)


def _numbers(found: Mapping[str, Any]) -> list[str]:
    """The means of the main numbers, an en dash where one was not measured."""
    metrics = found["metrics"]
    means = [metrics[name]["mean"] if name else None for name in main_numbers(metrics).values()]
    return [f"{mean:.3g}" if isinstance(mean, int | float) else "–" for mean in means]


def _aligned(lines: Sequence[tuple[str, str, list[str] | str, str]]) -> list[str]:
    """Columns of one width; a reason takes the place of the numbers."""
    statuses, names = (max(len(line[i]) for line in lines) for i in (0, 1))
    middles = [
        middle if isinstance(middle, str) else "".join(f"{number:>10}" for number in middle)
        for _, _, middle, _ in lines
    ]
    width = 10 * len(MAIN_NUMBERS)
    return [
        f"  {status:<{statuses}}  {name:<{names}}  {middle:<{width}}  {folder}".rstrip()
        for (status, name, _, folder), middle in zip(lines, middles, strict=True)
    ]
