"""Tell one evaluation of the Trainer from the next, as none says that it begins and some are interrupted."""

from typing import Any

from accelerate.state import GradientState


class Evaluations:
    """Passes over loaders, each of which is an evaluation.

    The Trainer makes a loader for each evaluation, and with `dataloader_persistent_workers` keeps one for all. A
    loader that is iterated over again after an interruption is listed twice by accelerate, which removes it from its
    list only at the end of a pass.
    """

    def __init__(self) -> None:
        self._loader: Any = None
        self._passes = 0
        self._latest: tuple[Any, int] = (None, 0)  # of `goes_on`

    def goes_on(self) -> bool:
        """Return whether the model is called in the same pass over a loader as at the call of this before."""
        loader = GradientState().active_dataloader
        before, self._latest = self._latest, (loader, _passes(loader))
        return loader is not None and before[0] is loader and before[1] == self._latest[1]

    def begins(self, loader: Any) -> bool:
        """Return whether a batch of the loader belongs to another pass than the batch before."""
        passes = _passes(loader)
        same = loader is self._loader and passes == self._passes
        self._loader, self._passes = loader, passes
        return not same

    def end(self) -> None:
        """Forget the loader after the last batch."""
        self._loader, self._passes = None, 0
        self._latest = None, 0


def _passes(loader: Any) -> int:
    """Return how often accelerate lists a loader."""
    return sum(other is loader for other in GradientState().dataloader_references)
