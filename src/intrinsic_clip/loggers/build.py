"""Build the loggers of a config."""

from collections.abc import Mapping
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from intrinsic_clip import config


def build_loggers(cfg: DictConfig, folder: str, offered: Mapping[str, Any]) -> list[Any]:
    """Instantiate a config's loggers.

    Args:
        folder: the run folder.
        offered: arguments such as those that name the run, from `wandb_identity`. A logger gets the folder and those
            of them that it has parameters for and its config leaves open.
    """
    arguments = {"folder": folder, **offered}
    return [
        instantiate(node, **{key: value for key, value in arguments.items() if config.takes(node, key)})
        for node in cfg.logger.values()
        if node is not None
    ]
