"""Format errors as one line: what is wrong with a command and what would be right."""

import re
import shlex
from difflib import get_close_matches

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from intrinsic_clip.config.folders import conf_folder, group_folders
from intrinsic_clip.errors import ConfigError

PROGRAM = "intrinsic-clip"
EXPECTED = (
    ConfigError,
    HydraException,
    OmegaConfBaseException,
    OSError,
)  # the user's input or the disk is at fault
LAUNCHERS = {"joblib": "hydra-joblib-launcher", "submitit": "hydra-submitit-launcher", "ray": "ray"}


def one_line(error: BaseException, verb: str = "train") -> str:
    """Return the message of an error without Hydra's and the system's further lines.

    Args:
        error: any of EXPECTED, or another.
        verb: the verb whose keys are suggested in place of an unknown one.
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
    return f"{override[1]}: unknown key{_suggestion(override[1], verb)}" if override else text


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


def _suggestion(key: str, verb: str) -> str:
    """Return a hint for an unknown key: the choice that has it, or else the most similar key."""
    folder = conf_folder()
    files = [path for group in group_folders(verb) for path in sorted(group.glob("*.yaml"))]
    choices = {
        ".".join((*path.parent.relative_to(folder).parts, str(name))): path.relative_to(folder).with_suffix(
            ""
        )
        for path in [*files, folder / f"{verb}.yaml"]
        if not path.read_text("utf-8").startswith("# @package")  # its keys are not the group's
        for name in OmegaConf.load(path)
        if name != "defaults"
    }
    if key in choices:  # another choice of a group has it
        return f" with the choices made; {choices[key].parent.as_posix()}={choices[key].name} has it"
    close = get_close_matches(key, sorted(choices), n=1)
    return f", did you mean {close[0]}?" if close else f"; see {PROGRAM} {verb} --help"
