"""Build the loggers of a config."""

from collections.abc import Callable, Mapping
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from intrinsic_clip import config
from intrinsic_clip.config.nodes import target_of


def build_loggers(
    cfg: DictConfig,
    folder: str,
    offered: Mapping[str, Any],
    kept_steps: Callable[[], int | None] = lambda: None,
) -> list[Any]:
    """Instantiate a config's loggers.

    Args:
        folder: the run folder.
        offered: arguments such as those that name the run, from `wandb_identity`. A logger gets the folder and those
            of them that it has parameters for and its config leaves open.
        kept_steps: returns how many steps a run that resumes does not repeat; None where it begins.
    """
    arguments = {"folder": folder, **offered}
    loggers = []
    for node in cfg.logger.values():
        if node is None:
            continue
        given = {key: value for key, value in arguments.items() if config.takes(node, key)}
        loggers.append(instantiate(node, **given, **_purged(node, kept_steps)))
    return loggers


def _purged(node: DictConfig, kept_steps: Callable[[], int | None]) -> dict[str, int]:
    """Return what has TensorBoard hide the steps that a killed run logged and will now repeat."""
    bases = getattr(target_of("logger", node), "__mro__", ())
    if "purge_step" in node or not any(base.__name__ == "TensorBoardLogger" for base in bases):
        return {}
    steps = kept_steps()
    return {} if steps is None else {"purge_step": steps + 1}
