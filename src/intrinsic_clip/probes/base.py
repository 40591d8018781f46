"""Common base of the callbacks that a config lists under `probes`."""

from collections.abc import Set
from typing import Any

from torch import Tensor

from intrinsic_clip.errors import reason_of
from intrinsic_clip.probes.both_lightnings import Callback
from intrinsic_clip.probes.user_line import warn_at_user_line


class AnyProbe(Callback):
    """Callback of both Lightnings that holds its final numbers for results.json; most derive from `Probe`.

    Attributes:
        latest: the last value of each number by name, `(*R,)`; empty for a callback that gives no numbers.
        reasons: by name, why a number is NaN.
        notes: warnings of the last measurement, each once.
    """

    def __init__(self) -> None:
        self.latest: dict[str, Tensor] = {}
        self.reasons: dict[str, str] = {}
        self.notes: list[str] = []
        self._warned: set[str] = set()
        self._passed_on: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out `log` and `log_dict`, methods of the module, which Lightning lends to callbacks in a hook."""
        return {name: value for name, value in vars(self).items() if name not in ("log", "log_dict")}

    def own_names(self) -> Set[str]:
        """Return the names that no other callback may log; none for a callback that gives no numbers."""
        return set()

    def warn_once(self, message: str) -> None:
        """Note a warning, and give it at the user's line unless this callback has given it before."""
        self._give(message, self._warned)

    def pass_on(self, message: str) -> None:
        """Note a warning of a calculation, and give it at the user's line unless it has been passed on before.

        It may be one of `warn_once`, which a calculation that records its warnings has kept from the user.
        """
        self._give(message, self._passed_on)

    def _give(self, message: str, before: set[str]) -> None:
        self.note(message)
        if message not in before:
            before.add(message)
            warn_at_user_line(message)

    def warn_of_failure(self, error: Exception, label: str = "") -> str:
        """Warn of an error once, and return it as the reason why numbers are NaN.

        Args:
            error: that ended a measurement.
            label: opens the warning; by default the class's name.
        """
        reason = reason_of(error)
        self.warn_once(f"{label or type(self).__name__} failed and is logged as NaN: {reason}")
        return reason

    def note(self, message: str) -> None:
        """Add a text to the notes, unless it is one of them."""
        if message not in self.notes:
            self.notes.append(message)
