"""End the program with a one-line message if the user's input or the disk is at fault."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from intrinsic_clip.config.messages import EXPECTED, PROGRAM, one_line

# Read once, at import: the program sets it for Hydra, and the processes that Lightning starts inherit that.
TRACEBACK_WANTED = os.environ.get("HYDRA_FULL_ERROR") == "1" and os.environ.get("LOCAL_RANK", "0") == "0"

LONGEST = 1500  # characters of a message


def fail(message: str) -> NoReturn:
    """Print the reason on stderr, and exit with code 2."""
    print(f"{PROGRAM}: {_shortened(' '.join(message.split()))}", file=sys.stderr)
    sys.exit(2)


def _shortened(message: str) -> str:
    """Leave out the middle of a message that quotes a value of thousands of characters."""
    return message if len(message) <= LONGEST else f"{message[: LONGEST // 2]} … {message[-LONGEST // 2 :]}"


@contextmanager
def in_one_line(verb: str = "train") -> Iterator[None]:
    """End the program with one line and exit code 2 on an expected error; HYDRA_FULL_ERROR=1 shows the traceback.

    Args:
        verb: the verb whose keys are suggested in place of an unknown one.
    """
    try:
        yield
    except EXPECTED as error:
        if TRACEBACK_WANTED:
            raise
        fail(one_line(error, verb))
