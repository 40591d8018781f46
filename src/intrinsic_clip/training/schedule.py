"""Change the learning rate by step, with the schedulers of PyTorch."""

import math
from collections.abc import Callable
from functools import partial

from hydra.utils import get_class, instantiate
from omegaconf import DictConfig
from pytorch_lightning import Trainer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from intrinsic_clip.config.nodes import takes
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loggers.steps import total_steps

LENGTHS = ("total_steps", "T_max", "total_iters")  # names of a schedule's length among PyTorch's schedulers
Schedule = Callable[[Optimizer, int], LRScheduler]


def schedule_of(node: DictConfig) -> Schedule:
    """Return what makes the scheduler of a config node, called with an optimizer and the number of its steps."""
    return partial(_make, node)


def _make(node: DictConfig, optimizer: Optimizer, steps: int) -> LRScheduler:
    made = get_class(node._target_)
    if not issubclass(made, LRScheduler) or issubclass(made, ReduceLROnPlateau):
        reason = "waits for a metric" if issubclass(made, LRScheduler) else "is not a learning-rate scheduler"
        raise ConfigError(f"schedule._target_={node._target_}: {reason}; choose one that goes by steps")
    for name in LENGTHS:
        if node.get(name) is not None:
            raise ConfigError(f"schedule.{name}: is the number of steps of the training, which is filled in")
    length = {name: steps for name in LENGTHS if takes(node, name)}
    return instantiate(node, _partial_=True)(optimizer, **length)


def steps_of(trainer: Trainer) -> int:
    """Return how many steps of the optimizer a training takes.

    Raises:
        ConfigError: it has no end.
    """
    steps = total_steps(trainer)
    if math.isinf(steps):
        raise ConfigError("schedule: needs a length; set trainer.max_epochs or trainer.max_steps")
    return int(steps)
