"""Tell the processes of one training from ranks that another program left in the environment.

Lightning believes such variables: with a leftover RANK=3 a run would log nothing and write no results, and with a
leftover LOCAL_RANK a run of two processes would wait for ever for the others.
"""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from intrinsic_clip.errors import ConfigError

RANKS = (
    "RANK",
    "LOCAL_RANK",
    "NODE_RANK",
    "GROUP_RANK",
    "SLURM_PROCID",
    "SLURM_LOCALID",
    "JSM_NAMESPACE_RANK",
)
SIZES = (
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "SLURM_NTASKS",
    "SLURM_NPROCS",
    "SLURM_NTASKS_PER_NODE",
    "JSM_NAMESPACE_SIZE",
)
ADDRESSES = ("MASTER_ADDR", "MASTER_PORT")
STARTED_BY = "INTRINSIC_CLIP_STARTED_BY"  # the process that starts the others of a training
TORCHRUN = "TORCHELASTIC_RUN_ID"


def drop_unreadable_ranks() -> None:
    """Remove ranks and sizes that are no numbers, on which importing Lightning fails, and warn."""
    wrong = [name for name in (*RANKS, *SIZES) if name in os.environ and not os.environ[name].isdecimal()]
    _drop(wrong, "not a number")


@contextmanager
def only_own_ranks(cfg: DictConfig | None = None) -> Iterator[None]:
    """Remove ranks that do not belong to the training, warn if one mattered, and put them back at the end.

    Args:
        cfg: the training's config; None: work in one process.

    Raises:
        ConfigError: torchrun started several processes for a training in one.
    """
    before = {name: os.environ[name] for name in (*RANKS, *SIZES, *ADDRESSES) if name in os.environ}
    alone = cfg is None or _is_alone(cfg)
    if alone and TORCHRUN in os.environ and os.environ.get("WORLD_SIZE", "1") != "1":
        size = os.environ["WORLD_SIZE"]
        raise ConfigError(
            f"trainer.devices: torchrun started {size} processes; trainer=ddp trainer.devices={size}"
        )
    if alone or not _belongs_to_a_group(cfg):
        _drop(
            list(before),
            "this is one process" if alone else "they name no processes of this run",
        )
    starter = os.environ.get(STARTED_BY)
    os.environ[STARTED_BY] = str(os.getpid())
    try:
        yield
    finally:
        os.environ.update(before)
        os.environ.pop(STARTED_BY)
        if starter is not None:
            os.environ[STARTED_BY] = starter


def _is_alone(cfg: DictConfig) -> bool:
    devices, nodes = _setting(cfg, "trainer.devices"), _setting(cfg, "trainer.num_nodes")
    several = isinstance(devices, list) and len(devices) > 1
    return nodes in (None, 1) and not several and (isinstance(devices, list) or devices in (1, "1"))


def _belongs_to_a_group(cfg: DictConfig | None) -> bool:
    """Return whether something started this process as one of several, or the user does so on each node."""
    started_by_us = os.environ.get(STARTED_BY) == str(os.getppid())
    by_slurm = os.environ.get("SLURM_NTASKS", "1") != "1" and "SLURM_PROCID" in os.environ
    several_nodes = cfg is not None and _setting(cfg, "trainer.num_nodes") not in (None, 1)
    return started_by_us or by_slurm or several_nodes or TORCHRUN in os.environ


def _setting(cfg: DictConfig, key: str) -> object:
    try:
        value = OmegaConf.select(cfg, key)
    except OmegaConfBaseException:
        return None
    return OmegaConf.to_object(value) if OmegaConf.is_config(value) else value


def _drop(names: list[str], reason: str) -> None:
    neutral = {**dict.fromkeys(RANKS, "0"), **dict.fromkeys(SIZES, "1")}
    values = {name: os.environ.pop(name) for name in names}
    told = [f"{name}={value}" for name, value in values.items() if neutral.get(name, value) != value]
    if told:
        warnings.warn(f"{', '.join(told)} in the environment: ignored, since {reason}", stacklevel=2)
    lightning = sys.modules.get("lightning_utilities.core.rank_zero")
    if names and lightning is not None:
        lightning.rank_zero_only.rank = 0
