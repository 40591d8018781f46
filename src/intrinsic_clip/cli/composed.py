"""Have Hydra compose the config of a verb, and run a task with it."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import hydra
from omegaconf import DictConfig

from intrinsic_clip import config
from intrinsic_clip.errors import ConfigError


def run_composed(verb: str, overrides: list[str], task: Callable[[DictConfig], None]) -> None:
    """Have Hydra compose the verb's config from the overrides, and run the task with it."""
    for override in overrides:
        group, _, choice = override.partition("=")
        if choice == "null" and (config.conf_folder() / group).is_dir():  # of which Hydra says nothing useful
            raise ConfigError(
                f"{override}: {group} is a group; ~{group} leaves it out, where it can be left out"
            )
    with _hydra_arguments(overrides):
        hydra.main(version_base="1.3", config_path=str(config.conf_folder()), config_name=verb)(task)()


@contextmanager
def _hydra_arguments(overrides: list[str]) -> Iterator[None]:
    """Show Hydra the overrides without the verb, and have it raise errors instead of printing a page."""
    given, sys.argv = sys.argv, [*sys.argv[:1], *overrides]
    setting = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = given
        os.environ.pop("HYDRA_FULL_ERROR")
        if setting is not None:
            os.environ["HYDRA_FULL_ERROR"] = setting
