"""Point warnings at the user's own line rather than at a hook deep within Lightning."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

PACKAGE = Path(__file__).parents[1]
INTERNAL = {
    "intrinsic_clip",
    "pytorch_lightning",
    "lightning",
    "lightning_fabric",
    "torch",
    "hydra",
    "hydra_plugins",
    "contextlib",
    "runpy",
}
PROGRAM = "intrinsic_clip.cli.program"  # what calls it is a script that pip made


def warn_at_user_line(message: str) -> None:
    """Warn with the file and line of the user's call, such as `trainer.fit(…)`, through which the code was reached."""
    warnings.warn(message, stacklevel=_depth(sys._getframe(1)))


@contextmanager
def warnings_at_user_line(warn: Callable[[str], None]) -> Iterator[None]:
    """Give the warnings of a calculation, which lie deep within this package, again at the user's line.

    Args:
        warn: gives a warning at the user's line.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if issubclass(warning.category, UserWarning) and Path(warning.filename).is_relative_to(PACKAGE):
            warn(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _depth(frame: FrameType) -> int:
    """Return the `stacklevel` of the nearest frame of the user's; that of the caller if there is none."""
    depth, current = 2, frame.f_back
    while current is not None and current.f_globals.get("__name__") != PROGRAM:
        depth += 1
        if not _is_internal(current):
            return depth
        current = current.f_back
    return 2


def _is_internal(frame: FrameType) -> bool:
    name = frame.f_globals.get("__package__") or frame.f_globals.get("__name__") or ""
    return str(name).partition(".")[0] in INTERNAL
