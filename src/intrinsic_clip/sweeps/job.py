"""Train one run of a sweep in the process that a launcher chose."""

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig

from intrinsic_clip.config.messages import EXPECTED, one_line
from intrinsic_clip.errors import InUse
from intrinsic_clip.runs import atomic, results
from intrinsic_clip.runs.spec import RunSpec

RANKS = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")  # as Lightning sets them


def job(cfg: DictConfig, started_in: str) -> str | None:
    """Train one run; return why it failed, or None.

    The reason is written to the run folder too, where it survives a launcher that loses what its jobs return.

    Args:
        cfg: the run's config, as Hydra composed it.
        started_in: the folder that the sweep was started in.
    """
    from intrinsic_clip.training.composed import train_composed

    try:
        os.chdir(started_in)
        with _own_ranks():
            train_composed(cfg)
    except (Exception, SystemExit) as error:
        if not isinstance(error, EXPECTED):
            traceback.print_exc()
        reason = failure(error)
        if not isinstance(error, InUse):
            with contextlib.suppress(OSError):
                _leave_reason(RunSpec.of(cfg).folder, reason)
        return reason
    return None


def failure(error: BaseException) -> str:
    """Return the reason why a run failed, in one line."""
    return one_line(error) if isinstance(error, EXPECTED) else f"{type(error).__name__}: {one_line(error)}"


@contextlib.contextmanager
def _own_ranks() -> Iterator[None]:
    """Remove the traces of a DDP run, so that the next run in this process does not join it as a rank."""
    ours = set(RANKS) - set(os.environ)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
        distributed = sys.modules.get("torch.distributed")
        if distributed and distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()


def _leave_reason(folder: Path, reason: str) -> None:
    atomic.make_folder(folder)
    atomic.write_atomically(folder / results.FAILED, reason + "\n")
