"""The verb `measure`: numbers about embeddings that exist already."""

import sys
from collections.abc import Sequence

from omegaconf import DictConfig

from intrinsic_clip.cli.composed import run_composed
from intrinsic_clip.cli.one_line import in_one_line
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.command import measure

FILES = {"--check": "check", "--junit": "check_junit", "--json": "check_json"}  # option → setting
BROKEN = 1  # exit code where a rule is broken


def main(arguments: list[str]) -> None:
    """Measure as the arguments say."""
    if {"-m", "--multirun"} & set(arguments):
        raise ConfigError("--multirun: measure measures one thing at a time; give a command for each")
    run_composed("measure", _with_files(arguments), _task, own=FILES)


def _with_files(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with settings in place of `--check FILE` and the like.

    Raises:
        ConfigError: an option has no file.
    """
    translated, remaining = [], list(arguments)
    while remaining:
        argument = remaining.pop(0)
        option, equals, value = argument.partition("=")
        if option not in FILES:
            translated.append(argument)
            continue
        if not equals:
            value = remaining.pop(0) if remaining else ""
        if not value or (not equals and value.startswith("--")):
            raise ConfigError(f"{option}: needs a file, as in {option} FILE")
        translated.append(f"{FILES[option]}={value}")
    return translated


def _task(cfg: DictConfig) -> None:
    with in_one_line("measure"):
        measurement = measure(cfg)
    if measurement.get("check", {}).get("status") == "failed":
        sys.exit(BROKEN)
