"""Train a run that Hydra has composed, with what Lightning needs to start further processes."""

import os
import sys
from importlib.util import find_spec

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from intrinsic_clip.training.ranks import only_own_ranks
from intrinsic_clip.training.train import train


def train_composed(cfg: DictConfig) -> None:
    """Train the run that Hydra has composed, in this process or a launcher's.

    Raises:
        ConfigError, InUse, OSError: as of `train`.
    """
    # Lightning starts the other processes of a DDP run by this command line: that of one run, also in a sweep.
    sys.modules["__main__"].__spec__ = find_spec("intrinsic_clip.__main__")
    # As they are: filled in, null would be the text None.
    typed = OmegaConf.to_container(HydraConfig.get().overrides.task)
    assert isinstance(typed, list)
    sys.argv = [sys.argv[0], "train", *map(str, typed)]
    if not {"", os.getcwd()} & set(sys.path):  # then theirs must not hold it either: -m puts it first
        os.environ["PYTHONSAFEPATH"] = "1"
    with only_own_ranks(cfg):
        train(cfg)
