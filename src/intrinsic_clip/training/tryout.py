"""Try out what a run will train with, on two numbers instead of its encoders, before anything is written."""

import json
import logging
import warnings
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import Logger

from intrinsic_clip import config
from intrinsic_clip.errors import ConfigError, joined_lines
from intrinsic_clip.loss.temperature import ScheduledTemperature
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.training.memory import trained_at_once
from intrinsic_clip.training.schedule import schedule_of

OWN = "intrinsic_clip."


def try_out(spec: RunSpec, here: bool) -> None:
    """Construct trainer and foreign loggers, take a step of the optimizer, and compute the temperature.

    Args:
        spec: the run.
        here: whether this machine will train it; if not, its trainer is not constructed here.

    Raises:
        ConfigError: one of them refuses its settings.
    """
    settings = spec.settings
    on_cpu = settings["trainer"].get("accelerator") in ("cpu", "auto")
    _try_optimizer(spec.cfg.optimizer, on_cpu)
    if on_cpu and trained_at_once(spec) > 1:
        _try_replicates(spec.cfg.optimizer)
    _require_end(settings)
    if spec.cfg.get("schedule") is not None:
        _try_schedule(spec.cfg)
    if settings["objective"].get("temperature") is not None:
        _try_temperature(spec.cfg.objective.temperature)
    _try_loggers(spec)
    if here:
        _try_trainer(json.dumps(settings["trainer"], sort_keys=True))


def _try_optimizer(node: DictConfig, takes_step: bool) -> None:
    parameter = torch.nn.Parameter(torch.zeros(2))
    name = str(node.get("_target_"))
    try:
        make = instantiate(node)
        optimizer = make([parameter])
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise ConfigError(f"optimizer._target_={name}: is not an optimizer")
        if takes_step:
            parameter.grad = torch.ones(2)
            optimizer.step()
    except ConfigError:
        raise
    except Exception as error:  # of as many kinds as there are optimizers
        raise ConfigError(f"optimizer: {_reason(error)}") from error


def _try_replicates(node: DictConfig) -> None:
    """Raise ConfigError where the optimizer's step of one replicate depends on another, as Adafactor's does."""

    def first_of_two(other: float) -> torch.Tensor:
        """Return the first replicate after two steps beside one of other weights, whose gradients grow."""
        ones = torch.ones(3, 4)
        parameter = torch.nn.Parameter(torch.stack([ones, other * ones]))
        optimizer = instantiate(node)([parameter])
        for power in (0, 1):
            parameter.grad = torch.stack([ones, other**power * ones])
            optimizer.step()
        return parameter.detach()[0]

    with torch.random.fork_rng(devices=[]):
        moved = []
        for other in (1.0, 1000.0):
            torch.manual_seed(0)
            try:
                moved.append(first_of_two(other))
            except Exception:  # it needs other parameters, which the training has
                return
    if not torch.allclose(moved[0], moved[1], rtol=1e-5, atol=1e-8, equal_nan=True):
        raise ConfigError(
            f"optimizer._target_={node.get('_target_')}: its step of one replicate depends on the others, so they "
            "cannot be trained side by side; replicates_per_chunk=1 and one encoder.output_dim train each alone"
        )


def _require_end(settings: Mapping[str, Any]) -> None:
    """Raise ConfigError where the learning rate or τ moves with the length of a training that has no end."""
    trainer, temperature = settings["trainer"], settings["objective"].get("temperature") or {}
    if settings.get("schedule") is not None:
        moving = "schedule"
    elif str(temperature.get("_target_")).endswith(f".{ScheduledTemperature.__name__}"):
        moving = "objective.temperature"
    else:
        return
    epochs = trainer.get("max_epochs")
    endless = epochs == -1 or (epochs is None and trainer.get("max_time") is not None)
    if endless and trainer.get("max_steps") in (None, -1):
        raise ConfigError(f"{moving}: needs a length; set trainer.max_epochs or trainer.max_steps")


def _try_schedule(cfg: DictConfig) -> None:
    optimizer = instantiate(cfg.optimizer)([torch.nn.Parameter(torch.zeros(2))])
    try:
        schedule_of(cfg.schedule)(optimizer, 100)
    except ConfigError:
        raise
    except Exception as error:  # of as many kinds as there are schedulers
        raise ConfigError(f"schedule: {_reason(error)}") from error


def _try_temperature(node: DictConfig) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tau = instantiate(node)().detach()
    for warning in caught:
        _warn_once(str(warning.message))
    if not bool((tau > 0).all() & tau.isfinite().all()):
        raise ConfigError(
            f"objective.temperature: starts at τ = {float(tau.max()):g}, which must be positive and finite"
        )


@cache
def _warn_once(message: str) -> None:
    """Warn of a setting: not of each run of a sweep, nor again of what is built from it."""
    warnings.warn(message, stacklevel=1)


def _try_loggers(spec: RunSpec) -> None:
    for key, node in spec.cfg.logger.items():
        if node is None or str(node.get("_target_")).startswith(OWN):
            continue
        folder = {"folder": str(spec.folder)} if config.takes(node, "folder") else {}
        try:
            logger = instantiate(node, **folder)
        except Exception as error:  # such as a package that is not installed
            raise ConfigError(f"logger.{key}: {_reason(error)}") from error
        if not isinstance(logger, Logger):
            raise ConfigError(f"logger.{key}._target_={node._target_}: is not a logger of Lightning")


@lru_cache(maxsize=64)
def _try_trainer(settings: str) -> None:
    """Construct a trainer; those of a sweep mostly share its settings."""
    node: Any = OmegaConf.create(json.loads(settings))
    lightning = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch")]
    levels = [logger.level for logger in lightning]
    try:
        for logger in lightning:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = instantiate(
                node,
                _convert_="all",
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
    except (
        Exception
    ) as error:  # MisconfigurationException, assertions, TypeErrors and others about single settings
        raise ConfigError(f"trainer: {_reason(error)}") from error
    finally:
        for logger, level in zip(lightning, levels, strict=True):
            logger.setLevel(level)
    if not isinstance(trainer, Trainer):
        raise ConfigError(f"trainer._target_={node._target_}: is not a trainer of Lightning")
    precision = node.get("precision")
    if str(precision) in ("16", "16-mixed") and trainer.precision != "16-mixed":
        raise ConfigError(
            f"trainer.precision={precision}: needs a GPU; on a CPU bf16-mixed is the half precision"
        )


def _reason(error: BaseException) -> str:
    """Return the innermost message in one line; Hydra wraps what it instantiates."""
    while error.__cause__ is not None:
        error = error.__cause__
    return joined_lines(error)
