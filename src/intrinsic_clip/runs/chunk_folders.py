"""Name the folders of a run whose replicates train in chunks, one group after the other, and read its plan."""

from collections.abc import Sequence
from pathlib import Path

from intrinsic_clip.runs.sealed import read_sealed, write_sealed

CHUNKS, PLAN = "chunks", "chunks.json"


def chunk_folders(folder: Path, chunks: Sequence[Sequence[int]]) -> list[Path]:
    """Return the folder of each chunk, inside that of the run."""
    return [folder / CHUNKS / f"{folder.name}-{indices[0]}-{indices[-1]}" for indices in chunks]


def whole_run(folder: Path) -> Path:
    """Return the folder of the run that a chunk belongs to; any other folder is returned as it is."""
    return folder.parents[1] if folder.parent.name == CHUNKS else folder


def write_plan(folder: Path, chunks: Sequence[Sequence[int]]) -> None:
    """Note in the run folder which replicates each chunk holds."""
    write_sealed(folder / PLAN, {"chunks": chunks})


def read_plan(folder: Path) -> list[list[int]] | None:
    """Return the replicate indices of each chunk that a run began with; None if it has not begun in chunks.

    Raises:
        Damaged: the plan is not what was written.
    """
    sealed = read_sealed(folder / PLAN, ("chunks",))
    return None if sealed is None else sealed.get("chunks")
