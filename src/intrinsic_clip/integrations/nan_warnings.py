"""Warn of numbers that are NaN where a training loop would take them in silence."""

import math
import warnings
from collections.abc import Callable, Mapping

import torch.distributed as dist

SHOWN = 4  # names in one message


class NanWarnings:
    """Warns once of each number that is NaN, with the reason; again after it had a value."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def __call__(
        self,
        numbers: Mapping[str, float],
        reasons: Mapping[str, str],
        warn: Callable[[str], object] | None = None,
    ) -> None:
        """Warn, in the first process, of the numbers that are NaN now and were not before."""
        missing = {name for name, value in numbers.items() if math.isnan(value)}
        by_reason: dict[str, list[str]] = {}
        for name in numbers:
            if name in missing and name not in self._names and _value_of(name) not in missing:
                by_reason.setdefault(reasons.get(name, "no reason is known"), []).append(name)
        self._names = missing | (self._names - numbers.keys())
        if dist.is_available() and dist.is_initialized() and dist.get_rank() != 0:
            return
        for reason, names in by_reason.items():
            more = f" and {len(names) - SHOWN} more" * (len(names) > SHOWN)
            (warn or _warn)(
                f"{', '.join(names[:SHOWN])}{more} {'is' if len(names) == 1 else 'are'} NaN: {reason}"
            )


def _value_of(name: str) -> str | None:
    """Return the number that a standard error belongs to; None for other numbers."""
    kind, slash, parts = name.partition("/")
    return kind.removesuffix("_standard_error") + slash + parts if kind.endswith("_standard_error") else None


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)  # the line behind the adapter's call
