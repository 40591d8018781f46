"""From a config to the things that train: data, module and probes."""

import copy
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from intrinsic_clip import config
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.replicates import Replicates, stream_seed

if TYPE_CHECKING:  # PyTorch takes seconds to import: a run that is done already does not wait for it
    from torch import nn

    from intrinsic_clip.data import PairedData
    from intrinsic_clip.probes import AnyProbe
    from intrinsic_clip.training.module import ContrastiveModule


STEPS_WORTH_COMPILING = 20_000


def build(
    cfg: DictConfig, settings: Mapping[str, Any]
) -> tuple["PairedData", "ContrastiveModule", list["AnyProbe"]]:
    """Data, module and probes of a config. The initial weights depend on the seed alone.

    Raises:
        ConfigError: where a value that only its class can judge is impossible.
    """
    import torch

    from intrinsic_clip.training.module import ContrastiveModule

    if settings["threads"] is not None:
        torch.set_num_threads(settings["threads"])
    try:
        data = _data(cfg)
        data.read()
        assert data.d_x is not None  # known once the data are read
        assert data.d_y is not None
        replicates = Replicates.of(settings)
        if config.is_pretrained(cfg.encoder):
            f, g = _pretrained(cfg, settings, data)
        else:
            f = _encoder(cfg, settings, replicates, "f", data.d_x, data.d_y)
            g = _encoder(cfg, settings, replicates, "g", data.d_y, data.d_x)
        axes = {"replicates": replicates.shape, "_convert_": "all"} if replicates.shape else {}
        similarity, temperature = instantiate(cfg.loss.similarity), instantiate(cfg.loss.temperature, **axes)
        optimizer = instantiate(cfg.optimizer)
        module = ContrastiveModule(
            f,
            g,
            similarity,
            temperature,
            optimizer,
            replicates,
            _is_compiled(settings, replicates),
            settings["loss"].get("chunk"),
            settings["loss"].get("local_block", False),
        )
        probes = [instantiate(probe) for probe in cfg.probes.values() if isinstance(probe, DictConfig)]
    except (InstantiationException, ValueError) as error:
        wrapped = isinstance(error, InstantiationException) and error.__cause__
        raise ConfigError(str(wrapped or error).splitlines()[0]) from error
    return data, module, probes


def _data(cfg: DictConfig) -> "PairedData":
    """The data source, or what a frozen model makes of its images and captions."""
    features = cfg.get("features")
    wanted = features is not None or config.is_pretrained(cfg.encoder)
    images = {"images": True} if wanted and "images" in cfg.data else {}
    data = instantiate(cfg.data, **images)
    return data if features is None else instantiate(features)(source=data)


def _pretrained(
    cfg: DictConfig, settings: Mapping[str, Any], data: "PairedData"
) -> tuple["nn.Module", "nn.Module"]:
    """Both encoders of one pretrained model, whose new heads, if any, depend on the seed alone."""
    import torch

    assert data.d_x is not None
    assert data.d_y is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(settings["seed"], 0, "f"))
        return instantiate(cfg.encoder, device="cpu").encoders(data.d_x, data.d_y)


def _encoder(
    cfg: DictConfig,
    settings: Mapping[str, Any],
    replicates: Replicates,
    stream: Literal["f", "g"],
    input_dim: int | tuple[int, ...],
    partner_dim: int | tuple[int, ...],
) -> "nn.Module":
    """One encoder for all replicates; told the other modality's input size where its size depends on both."""
    from intrinsic_clip.encoders.replication import replicate

    seeds = [stream_seed(settings["seed"], index, stream) for index in replicates.indices or (0,)]
    output_dims = replicates.output_dims or (settings["encoder"]["output_dim"],)
    both = {"partner_dim": partner_dim} if config.takes(cfg.encoder, "partner_dim") else {}
    return replicate(
        lambda d: instantiate(cfg.encoder, output_dim=d)(input_dim=input_dim, **both),
        input_dim,
        seeds,
        output_dims,
        replicates.shape,
    )


def _is_compiled(settings: Mapping[str, Any], replicates: Replicates) -> bool:
    """As asked for; by default where compiling, about ten seconds, is paid back and a C++ compiler is there."""
    if settings["compile"] is not None:
        return bool(settings["compile"])
    data, epochs = settings["data"], settings["trainer"].get("max_epochs") or 0
    steps = epochs * (data.get("n_train") or 0) // data.get("batch_size", 1)
    compiler = any(map(shutil.which, [os.environ.get("CXX", "g++"), "c++", "clang++"]))
    return steps * len(replicates) >= STEPS_WORTH_COMPILING and compiler


def one_replicate(cfg: DictConfig, settings: Mapping[str, Any]) -> tuple[DictConfig, Mapping[str, Any]]:
    """The config of a run's first replicate: as good as the whole to see whether it can be built, and quicker."""
    if settings["replicates"] is None:
        return cfg, settings
    one = with_replicates(cfg, (Replicates.of(settings).indices or ())[:1])
    return one, config.resolve(one)


def with_replicates(cfg: DictConfig, indices: Sequence[int]) -> DictConfig:
    """The config of some of a run's replicates."""
    one = copy.deepcopy(cfg)
    OmegaConf.update(one, "replicates", list(indices))
    return one
