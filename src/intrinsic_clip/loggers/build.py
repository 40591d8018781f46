"""Build the loggers of a config."""

from collections.abc import Mapping
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from intrinsic_clip import config


def build_loggers(cfg: DictConfig, folder: str, labels: Mapping[str, Any]) -> list[Any]:
    """The loggers of a config, each told the folder and those labels that it wants to know and was not given."""
    given = {"folder": folder, **labels}
    return [
        instantiate(node, **{key: value for key, value in given.items() if config.takes(node, key)})
        for node in cfg.logger.values()
    ]
