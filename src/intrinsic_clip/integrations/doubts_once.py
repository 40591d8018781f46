"""Tell of doubts and of numbers that are NaN once in a training, which measures at every evaluation."""

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch.distributed as dist

DECIDED = ("budget = ", "a sample of ")  # beginnings of notes that are no doubts


class DoubtsOnce:
    """Warns of each note once, whatever the figures in it; another process than the first says nothing."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __call__(self, notes: Sequence[str], warn: Callable[[str], object] | None = None) -> None:
        """Warn of the notes of a measurement that are doubts and were not told yet."""
        first = not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0
        for note in notes:
            sentence = re.sub(r"\d[\d.,]*", "#", re.sub(r"\w+(/\w+)+", lambda name: _spelt(name[0]), note))
            if not note.startswith(DECIDED) and sentence not in self._told:
                self._told.add(sentence)
                if first:
                    (warn or _warn)(note)


@contextmanager
def told_later() -> Iterator[None]:
    """Keep a measurement from warning of the notes that it returns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _spelt(name: str) -> str:
    """Return the name of a number with its figures as letters, since they tell it from others."""
    return re.sub(r"\d", lambda figure: chr(ord("a") + int(figure[0])), name)


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)  # the line behind the adapter's call
