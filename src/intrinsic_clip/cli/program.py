"""Run the command line: `intrinsic-clip <verb> [arguments]`."""

import importlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from intrinsic_clip import __version__
from intrinsic_clip.cli.help import help_of, overview
from intrinsic_clip.cli.one_line import fail, in_one_line
from intrinsic_clip.cli.start import INTERRUPTED
from intrinsic_clip.cli.streams import make_tolerant
from intrinsic_clip.cli.verbs import FORMER_NAMES, VERBS
from intrinsic_clip.config.messages import PROGRAM
from intrinsic_clip.errors import ConfigError, Interrupted
from intrinsic_clip.training.ranks import drop_unreadable_ranks, only_own_ranks

TERMINATED = 143  # likewise after SIGTERM
TIDY = {"apply", "measure"}  # verbs that end so; Lightning, which trains, has its own way
_usual_format = warnings.formatwarning


def main() -> None:
    """Run a verb; bad input ends in one line on stderr and exit code 2, Ctrl-C in exit code 130."""
    make_tolerant()
    verb, *arguments = sys.argv[1:] or ["--help"]
    if verb in FORMER_NAMES:
        print(f"{PROGRAM}: {verb} is now called {FORMER_NAMES[verb]}", file=sys.stderr)
        verb = FORMER_NAMES[verb]
    if verb in ("-h", "--help", "help"):
        print(overview())
    elif verb == "--version" or (verb in VERBS and "--version" in arguments):
        print(__version__)
    elif verb not in VERBS:
        fail(f"{' '.join(verb.split())}: no such verb; choose from {', '.join(VERBS)}")
    elif {"-h", "--help"} & set(arguments):
        print(help_of(verb))
    else:
        _run(verb, arguments)


def _run(verb: str, arguments: list[str]) -> None:
    os.environ["MPLBACKEND"] = "agg"  # one that a notebook or a shell has set may not be there
    warnings.formatwarning = _format_warning  # before Lightning is imported, which wraps the current one
    try:
        with in_one_line(verb), _without_stray_ranks(verb), _tidy_when_terminated(verb):
            _check_text(arguments)
            _check_working_folder()
            importlib.import_module(f"intrinsic_clip.cli.{verb}").main(arguments)
    except KeyboardInterrupt as error:
        state = str(error) if isinstance(error, Interrupted) else VERBS[verb].after_ctrl_c
        print(f"\nInterrupted; {state}.", file=sys.stderr)
        sys.exit(INTERRUPTED)


@contextmanager
def _tidy_when_terminated(verb: str) -> Iterator[None]:
    """End at SIGTERM, which `timeout` and schedulers send, as at an exception, so that unfinished files are removed."""

    def end(number: int, frame: object) -> None:
        sys.exit(TERMINATED)

    usual = signal.getsignal(signal.SIGTERM)
    main = threading.current_thread() is threading.main_thread()  # no other may set handlers
    if verb not in TIDY or not main or usual is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usual)


def _check_text(arguments: list[str]) -> None:
    """Check that the arguments are text, which results and pictures can show.

    Raises:
        ConfigError: one holds bytes that are not UTF-8, as a file's name from another system may.
    """
    for argument in arguments:
        shown = argument.encode(errors="backslashreplace").decode()
        if shown != argument:
            raise ConfigError(f"{shown}: not UTF-8 text; rename the file or the folder")


def _check_working_folder() -> None:
    """Check that the folder exists to which relative paths belong.

    Raises:
        ConfigError: it was deleted after the shell had changed to it.
    """
    try:
        Path.cwd()
    except FileNotFoundError:
        raise ConfigError("the working folder has been deleted; change to another (cd)") from None


@contextmanager
def _without_stray_ranks(verb: str) -> Iterator[None]:
    """Keep ranks in the environment from Lightning, which every verb imports; `train` decides by its config."""
    drop_unreadable_ranks()
    with nullcontext() if verb == "train" else only_own_ranks():
        yield


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Format our own warnings in one line for the user; others keep the place in the source."""
    if Path(filename).is_relative_to(Path(__file__).parents[1]):
        return f"{PROGRAM}: warning: {message}\n"
    return _usual_format(message, category, filename, lineno, line)
