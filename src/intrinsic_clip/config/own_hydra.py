"""Initialise Hydra for a moment, also where it is composing something else."""

from collections.abc import Iterator
from contextlib import contextmanager

import hydra
from hydra.core.global_hydra import GlobalHydra

from intrinsic_clip.config.folders import conf_folder


@contextmanager
def own_hydra() -> Iterator[None]:
    """Initialise Hydra with the project's groups, in place of the one that is at work, if there is one."""
    other, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        with hydra.initialize_config_dir(str(conf_folder()), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = other
