"""The contract of a family: give names, and compute the numbers that are wanted."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from torch import Tensor

from intrinsic_clip.measurement.embeddings import Embeddings, Measured, Side

ByName: TypeAlias = dict[str, Tensor | Measured]
Wanted: TypeAlias = Callable[[str], bool]


class Reporter(Protocol):
    """Somebody who hears of doubts and failures, such as a probe, which warns of each once."""

    def warn_once(self, message: str) -> None:
        """Pass a doubt on."""

    def warn_of_failure(self, error: Exception, label: str = "") -> str:
        """Pass an error on, and return it as the reason why a number is NaN."""


class Family(Protocol):
    """ByName that belong together."""

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the names of the numbers of x, or of x and y, without standard errors and those of label sets."""

    def measure(self, embeddings: Embeddings, reporter: Reporter, wanted: Wanted = ...) -> ByName:
        """Return the numbers that are wanted, and perhaps others that cost nothing more, each `(*R,)`."""


def everything(name: str) -> bool:
    """Return that a number is wanted, whatever its name."""
    return True
