"""Compose the config of a verb with Hydra, and run a task with it."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import hydra
from omegaconf import DictConfig

from intrinsic_clip import config
from intrinsic_clip.errors import ConfigError


def run_composed(verb: str, overrides: list[str], task: Callable[[DictConfig], None]) -> None:
    """Compose the config of a verb from the overrides, as `hydra.main` does, and run a task with it.

    Raises:
        ConfigError: an override sets a group to null.
    """
    for override in overrides:
        group, _, choice = override.partition("=")
        if choice == "null" and (config.conf_folder() / group).is_dir():  # Hydra's own message does not help
            raise ConfigError(f"{override}: {group} is a group; ~{group} leaves it out, if it is optional")
    with _hydra_arguments(overrides):
        hydra.main(version_base="1.3", config_path=str(config.conf_folder()), config_name=verb)(task)()


@contextmanager
def _hydra_arguments(overrides: list[str]) -> Iterator[None]:
    """Give Hydra the overrides without the verb, and have it raise errors instead of printing a page."""
    arguments, sys.argv = sys.argv, [*sys.argv[:1], *overrides]
    setting = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = arguments
        os.environ.pop("HYDRA_FULL_ERROR")
        if setting is not None:
            os.environ["HYDRA_FULL_ERROR"] = setting
