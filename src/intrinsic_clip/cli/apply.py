"""The verb `apply`: embeddings in fewer dimensions, by a projection that `measure` exported."""

import os

from omegaconf import DictConfig

from intrinsic_clip.cli.composed import run_composed
from intrinsic_clip.cli.one_line import in_one_line
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.projections.apply import apply


def main(arguments: list[str]) -> None:
    """Reduce the files that the arguments name.

    Raises:
        ConfigError: two projections are named, or a setting cannot be.
    """
    if {"-m", "--multirun"} & set(arguments):
        raise ConfigError("--multirun: apply takes one projection; give a command for each")
    named = [each for each in arguments if _is_file(each)]
    if len(named) > 1:
        raise ConfigError(f"{' and '.join(named)}: apply takes one projection; embeddings are x=… and y=…")
    overrides = [f"projection={each}" if each in named else each for each in arguments]
    run_composed("apply", overrides, _task)


def _task(cfg: DictConfig) -> None:
    with in_one_line("apply"):
        apply(cfg)


def _is_file(argument: str) -> bool:
    """Return whether an argument names the projection, which may have an equals sign in its name."""
    if argument.startswith(("-", "+", "~hydra")):
        return False
    return "=" not in argument or os.path.isfile(os.path.expanduser(argument))
