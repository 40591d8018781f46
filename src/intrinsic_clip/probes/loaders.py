"""Tell the loaders of a validation or test apart, and the rows that a distributed sampler repeats."""

from typing import Any

from pytorch_lightning import Trainer
from torch.utils._pytree import keystr, tree_flatten_with_path
from torch.utils.data import DistributedSampler

Stage = str
"""`train`, `validate` or `test`, and of several loaders the name of one behind: `validate/paintings`."""


def evaluation_stages(trainer: Trainer, stage: Stage) -> list[Stage]:
    """Return the stages of a validation or test, one per loader: its key in a dict, or `dataloader_idx_0` and so on."""
    combined = _combined(trainer)
    if getattr(combined, "_mode", "sequential") != "sequential":
        return [stage]  # every batch has a part of each loader, and the source chooses
    return _stages(stage, trainer.test_dataloaders if stage == "test" else trainer.val_dataloaders)


def padding_rows(trainer: Trainer, rows: int) -> int | None:
    """Return from which of this process's rows on a DistributedSampler repeated rows of others; None: from none.

    It gives each process as many rows as the others, and repeats the first where the number cannot be divided.

    Args:
        rows: that this process has seen; with another number than the sampler's, as of limited batches, or a source
            that gives several per sample, there is no telling.
    """
    if trainer.world_size == 1:
        return None
    same = [s for s in _samplers(trainer) if s.num_samples == rows and not s.drop_last]
    own = {-(-(len(s.dataset) - s.rank) // s.num_replicas) for s in same}  # type: ignore[arg-type]
    first = own.pop() if len(own) == 1 else rows
    return first if first < rows else None


def _samplers(trainer: Trainer) -> list[DistributedSampler]:
    combined = _combined(trainer)
    loaders = combined.flattened if combined is not None else []
    # A batch sampler of one's own gets the distributed one from Lightning; the loader then has another.
    holders = [holder for loader in loaders for holder in (loader, getattr(loader, "batch_sampler", None))]
    samplers = [getattr(holder, "sampler", None) for holder in holders]
    return [sampler for sampler in samplers if isinstance(sampler, DistributedSampler)]


def _combined(trainer: Trainer) -> Any:
    """Return the CombinedLoader of the loop that runs now, which Lightning has no public name for; None without one."""
    combined = getattr(getattr(trainer, "_active_loop", None), "_combined_loader", None)
    return combined if hasattr(combined, "flattened") else None


def _stages(stage: Stage, loaders: Any) -> list[Stage]:
    paths = [path for path, _ in tree_flatten_with_path(loaders)[0]]
    if len(paths) < 2:
        return [stage]
    names = [keystr(path).replace("']['", ".").strip("[]'") for path in paths]
    if any("[" in name or name.isdigit() for name in names) or len(set(names)) < len(names):
        names = [f"dataloader_idx_{index}" for index in range(len(paths))]
    return [f"{stage}/{name}" for name in names]
