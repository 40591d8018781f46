"""The command line: `intrinsic-clip <verb> [arguments]`, of most verbs Hydra overrides."""

import importlib
import sys
import warnings
from pathlib import Path

from intrinsic_clip import __version__
from intrinsic_clip.cli.help import help_of, overview
from intrinsic_clip.cli.one_line import fail, in_one_line
from intrinsic_clip.cli.verbs import AFTER_CTRL_C, FORMER_NAMES, VERBS
from intrinsic_clip.config.messages import PROGRAM

INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended


_usual_format = warnings.formatwarning


def main() -> None:
    """Run a verb; bad input ends in one line on stderr and exit code 2, Ctrl-C in 130."""
    verb, *overrides = sys.argv[1:] or ["--help"]
    if verb in FORMER_NAMES:
        print(f"{PROGRAM}: {verb} is now called {FORMER_NAMES[verb]}", file=sys.stderr)
        verb = FORMER_NAMES[verb]
    if verb in ("-h", "--help", "help"):
        print(overview())
    elif verb == "--version":
        print(__version__)
    elif verb not in VERBS:
        fail(f"{verb}: no such verb; there is {', '.join(VERBS)}")
    elif {"-h", "--help"} & set(overrides):
        print(help_of(verb))
    else:
        _run(verb, overrides)


def _run(verb: str, overrides: list[str]) -> None:
    warnings.formatwarning = _format_warning  # before Lightning is imported, which wraps what it finds
    try:
        with in_one_line(verb):
            importlib.import_module(f"intrinsic_clip.cli.{verb}").main(overrides)
    except KeyboardInterrupt:
        print(f"\nInterrupted; {AFTER_CTRL_C[verb]}.", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Our own warnings are for the user, in one line; others keep the place in the source."""
    if Path(filename).is_relative_to(Path(__file__).parents[1]):
        return f"{PROGRAM}: warning: {message}\n"
    return _usual_format(message, category, filename, lineno, line)
