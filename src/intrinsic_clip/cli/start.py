"""Start the command line, so that Ctrl-C while it is imported ends in one line as it does later."""

import sys

INTERRUPTED = 130  # the exit code that shells report after Ctrl-C


def main() -> None:
    """Import the program, which takes most of a second, and run it."""
    try:
        from intrinsic_clip.cli.program import main as run
    except KeyboardInterrupt:
        print("\nInterrupted; nothing was written.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    run()  # which says itself what it has written when it is interrupted
