"""Format errors as one line: what is wrong with a command and what would be right."""

import re
import shlex
from collections.abc import Sequence

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from intrinsic_clip.config.suggestions import choice_advice, key_advice
from intrinsic_clip.errors import ConfigError

PROGRAM = "intrinsic-clip"
EXPECTED = (
    ConfigError,
    HydraException,
    OmegaConfBaseException,
    OSError,
)  # the user's input or the disk is at fault
LAUNCHERS = {"joblib": "hydra-joblib-launcher", "submitit": "hydra-submitit-launcher", "ray": "ray"}


def one_line(error: BaseException, verb: str = "train", overrides: Sequence[str] = ()) -> str:
    """Return the message of an error without Hydra's and the system's further lines.

    Args:
        error: any of EXPECTED, or another.
        verb: the verb whose keys are suggested in place of an unknown one.
        overrides: what else the command gave, as Hydra takes it.
    """
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'cannot write'}: {error.strerror}"
    text = " ".join(str(error).split()).partition(" Config search path:")[0].removeprefix(f"In '{verb}': ")
    launcher = re.search(r"Could not find 'hydra/launcher/((joblib|submitit|ray)\w*)'", text)
    if launcher:
        return f"{launcher[1]}: not installed; pip install {LAUNCHERS[launcher[2]]} brings it"
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override, text)
    override = re.match(r"Could not (?:override|append to config|delete from config)[. ]*'([^']+)'", text)
    ambiguous = re.match(r"Ambiguous value for argument '([^=]+)=(.*?)' 1\. To use it", text)
    if ambiguous:
        return several_values(*ambiguous.groups())
    if override:
        return f"{override[1]}: unknown key{key_advice(override[1], verb, overrides)}"
    choice = re.search(r"Could not find '([^']+)/([^'/]+)' Available options in '[^']+': (.*)", text)
    return choice_advice(choice[1], choice[2], choice[3].split()) if choice else text


def several_values(key: str, value: str) -> str:
    """Return the ways to give several values, or one text with commas."""
    quoted = _quoted(key, value)
    return (
        f"{key}={value}: --multirun sweeps over several values, {key}=[{value}] is a list, {quoted} one text"
    )


def _unreadable(override: str, reason: str) -> str:
    """Return why Hydra cannot read an override, and how it can be told to take the value as text."""
    key, equals, value = override.partition("=")
    advice = f"as text it is {_quoted(key, value)}" if equals and key else "settings are given as key=value"
    return f"Error parsing override '{' '.join(override.split())}'; {advice}"


def _quoted(key: str, value: str) -> str:
    """Return an override with its value quoted for Hydra, and the whole for the shell."""
    return shlex.quote(f"{key}={QuotedString(text=value, quote=Quote.double).with_quotes()}")
