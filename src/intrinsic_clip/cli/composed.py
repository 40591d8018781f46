"""Compose the config of a verb with Hydra, and run a task with it."""

import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import hydra
from omegaconf import DictConfig

from intrinsic_clip import config
from intrinsic_clip.cli.options import parse
from intrinsic_clip.cli.overrides import OLD_GROUP, Commas, for_each_run, for_hydra
from intrinsic_clip.config.choices import check_choices
from intrinsic_clip.config.folders import is_group
from intrinsic_clip.config.messages import PROGRAM, one_line
from intrinsic_clip.errors import ConfigError


def run_composed(
    verb: str,
    arguments: Sequence[str],
    task: Callable[[DictConfig], None],
    sweeps: bool = False,
    own: Collection[str] = (),
) -> None:
    """Compose the config of a verb from the arguments, as `hydra.main` does, and run a task with it.

    Args:
        verb: the verb, whose config file has its name.
        arguments: options of Hydra and overrides, as the user typed them.
        task: gets the config.
        sweeps: whether the verb takes several values of a setting.
        own: options of the verb itself, which have been translated, for suggestions.

    Raises:
        ConfigError: Hydra cannot read the arguments, or an override sets a group to null.
    """
    options, overrides = parse(arguments, own)
    for override in overrides:
        group, _, choice = override.partition("=")
        if choice == "null" and is_group(group):  # Hydra's own message does not help
            raise ConfigError(f"{override}: {group} is a group; ~{group} leaves it out, if it is optional")
        if group in ("hydra.mode", "hydra/sweeper") and not sweeps:
            raise ConfigError(f"{override}: {verb} does one thing at a time; give a command for each")
    if any(OLD_GROUP.match(override) for override in overrides):
        print(f"{PROGRAM}: the group loss is now called objective", file=sys.stderr)
    composed = False

    def begin(cfg: DictConfig) -> None:
        nonlocal composed
        composed = True
        task(cfg)

    commas = Commas.TEXT
    multirun = "--multirun" in options or "hydra.mode=MULTIRUN" in overrides
    if sweeps:
        commas = Commas.SWEEP if multirun else Commas.REFUSED
    translated = for_hydra(overrides, commas, verb)
    check_choices(translated, multirun)
    if multirun:
        translated = for_each_run(translated)
    with _hydra_arguments([*options, *translated]):
        try:
            hydra.main(version_base="1.3", config_path=str(config.conf_folder()), config_name=verb)(begin)()
        except (ConfigError, OSError):
            raise
        except Exception as error:  # of Hydra's many kinds, about arguments that it cannot make sense of
            if composed:
                raise
            raise ConfigError(one_line(error, verb, translated) or type(error).__name__) from error


@contextmanager
def _hydra_arguments(arguments: list[str]) -> Iterator[None]:
    """Give Hydra its arguments without the verb, and have it raise errors instead of printing a page."""
    previous, sys.argv = sys.argv, [*sys.argv[:1], *arguments]
    setting = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = previous
        os.environ.pop("HYDRA_FULL_ERROR")
        if setting is not None:
            os.environ["HYDRA_FULL_ERROR"] = setting
