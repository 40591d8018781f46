"""Separate Hydra's options, such as `--multirun` and `--cfg job`, from the `key=value` arguments."""

import argparse
import difflib
from collections.abc import Collection, Sequence
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from intrinsic_clip.errors import ConfigError

RERUN = "experimental_rerun"  # reads a pickle, which may run any code


def parse(arguments: Sequence[str], own: Collection[str] = ()) -> tuple[list[str], list[str]]:
    """Return Hydra's options, wherever they stand, and the overrides.

    Args:
        arguments: as the user typed them, without the verb's own options.
        own: these options, for suggestions.

    Raises:
        ConfigError: an option that does not exist, or whose value is missing or wrong.
    """
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    optional = [action for action in parser._actions if action.option_strings]
    names = [name for action in optional for name in action.option_strings]
    for argument in arguments:
        name = argument.partition("=")[0]
        if name in own:
            raise ConfigError(f"{argument}: takes no value; {name} alone")
        if name.startswith("--") and not any(known.startswith(name) for known in names):
            close = difflib.get_close_matches(name.replace("_", "-"), [*own, *names], n=1)
            hint = f", did you mean {close[0]}?" if close else "; settings are given as key=value"
            raise ConfigError(f"{name}: no such option{hint}")
    try:
        parsed = vars(parser.parse_intermixed_args(list(arguments)))
    except (TypeError, argparse.ArgumentError) as error:
        raise ConfigError(str(error)) from error
    if parsed.pop(RERUN, None) is not None:
        raise ConfigError("--experimental-rerun: is not offered; the same command again continues a run")
    options = []
    for action in optional:
        value = parsed.get(action.dest, action.default)
        if value != action.default:
            options += [action.option_strings[0], *([] if action.nargs == 0 else [str(value)])]
    return options, list(parsed["overrides"])


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"{message}; settings are given as key=value")
