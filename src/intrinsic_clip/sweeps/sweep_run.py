"""Follow one run of a sweep: its state when the sweep started, and its outcome."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs import results
from intrinsic_clip.runs.locks import clear_left_behind, left_behind
from intrinsic_clip.sweeps.job import failure

STATUSES = ("done", "resumed", "skipped", "failed", "interrupted", "not started")


class Outcome(NamedTuple):
    """Outcome of a run: one of STATUSES, its results if it is finished, and else the reason, if there is one."""

    status: str
    results: dict[str, Any] | None = None
    reason: str = ""


class SweepRun:
    """One run of a sweep.

    Attributes:
        overrides: as Hydra's launchers take them.
        folder: where it writes.
        finished_before, begun_before: its state when the sweep started.
    """

    def __init__(self, overrides: Sequence[str], folder: Path) -> None:
        self.overrides, self.folder = list(overrides), folder
        self.finished_before = self._results() is not None
        if self.finished_before:
            clear_left_behind(folder)
        self.begun_before = any(folder.glob(f"**/{results.CHECKPOINT}"))
        self._noted_reason: str | None = None

    def forget_failure(self) -> None:
        """Forget why an earlier attempt failed, before the next."""
        self._noted_reason = None
        (self.folder / results.FAILED).unlink(missing_ok=True)

    def note_failure(self, reason: str | BaseException | None) -> None:
        """Keep the reason that the job returned, or the error that a launcher raised in its place."""
        self._noted_reason = failure(reason) if isinstance(reason, BaseException) else reason

    def died(self) -> bool:
        """Return whether the run began, and neither finished nor recorded a failure."""
        return left_behind(self.folder) and self._results() is None

    def begun(self) -> bool:
        """Return whether the run left a lock, results or a failure."""
        return left_behind(self.folder) or self._results() is not None or self._reason() is not None

    def outcome(self, interrupted: bool) -> Outcome:
        """Return the outcome of the run, in a sweep that Ctrl-C interrupted or that ended."""
        finished = self._results()
        if finished is not None:
            status = "skipped" if self.finished_before else "resumed" if self.begun_before else "done"
            return Outcome(status, finished)
        reason = self._reason()
        if reason or not interrupted:
            return Outcome("failed", reason=reason or "its process ended without an error message (killed?)")
        return Outcome("interrupted" if (self.folder / results.CONFIG).exists() else "not started")

    def _results(self) -> dict[str, Any] | None:
        with contextlib.suppress(ConfigError):  # of a newer version: the job that is to train the run says so
            return results.read_completed(self.folder)
        return None

    def _reason(self) -> str | None:
        return self._noted_reason or results.read_failure(self.folder)
