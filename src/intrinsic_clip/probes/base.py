"""Common base of the callbacks that a config lists under `probes`."""

import warnings

from pytorch_lightning import Callback
from torch import Tensor


class AnyProbe(Callback):
    """Callback that holds its final numbers for results.json; `Probe` is the one to derive from in most cases.

    Attributes:
        latest: the last value of each number by name, `(*R,)`; empty for a callback that gives no numbers.
        reasons: by name, why a number is NaN.
    """

    def __init__(self) -> None:
        self.latest: dict[str, Tensor] = {}
        self.reasons: dict[str, str] = {}
        self._warned: set[str] = set()

    def warn_once(self, message: str) -> None:
        """Warn, unless this callback has given the same warning before."""
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(message, stacklevel=2)
