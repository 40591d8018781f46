"""Tell the main process of a training from the others, without waiting for Lightning where it is not in use."""

from lightning_utilities.core.rank_zero import rank_zero_only


def is_main_process() -> bool:
    """Return whether lines are this process's to print: Lightning, once imported, has given it rank 0, or no rank."""
    return not getattr(rank_zero_only, "rank", 0)
