"""Build what trains: data, module and probes of a run."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from intrinsic_clip import config
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.replicates import stream_seed
from intrinsic_clip.runs.spec import RunSpec

if TYPE_CHECKING:  # PyTorch takes seconds to import: a run that is done already does not wait for it
    from torch import nn

    from intrinsic_clip.data import PairedData
    from intrinsic_clip.probes import AnyProbe
    from intrinsic_clip.training.kernel_step import KernelName
    from intrinsic_clip.training.module import ContrastiveModule

STEPS_WORTH_COMPILING = 20_000
STEPS_WORTH_A_KERNEL = (
    2_000  # it takes three seconds to build, once per machine, and saves some milliseconds a step
)
InputDim = int | tuple[int, ...]


@dataclass
class Training:
    """The parts of a training except the trainer."""

    data: "PairedData"
    module: "ContrastiveModule"
    probes: list["AnyProbe"]


def build(spec: RunSpec) -> Training:
    """Build a run and read its data. The initial weights depend on the seed alone.

    Raises:
        ConfigError: a value that only its class can judge is impossible, or the data cannot be read.
    """
    import torch

    if spec.settings["threads"] is not None:
        torch.set_num_threads(spec.settings["threads"])
    with _errors_of_classes():
        data = build_data(spec.cfg)
        data.read()
        data.shuffle_seed = spec.settings["seed"] if spec.settings["shuffle"] else None
        check_renewable(spec, data)
        _check_noisy(spec, data)
        with tried_out():
            module = _module(spec, data)
        return Training(data, module, [*_probes(spec.cfg), *_validation(spec)])


@contextmanager
def tried_out() -> Iterator[None]:
    """Silence doubts of the temperature, of which `try_out` warns once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*looks like a logit scale.*")
        yield


def check_renewable(spec: RunSpec, data: "PairedData") -> None:
    """Require training rows in memory where the population is drawn from them.

    Raises:
        ConfigError: they are streamed.
    """
    if spec.settings["objective"]["similarity"].get("over") == "renewed" and data.sizes["train"] == 0:
        raise ConfigError(
            "objective.similarity.over=renewed: draws from training rows in memory, and these are streamed; choose "
            "objective/similarity=batch or moving_average"
        )


def _check_noisy(spec: RunSpec, data: "PairedData") -> None:
    """Require feature vectors where noise is added to the inputs."""
    if _input_noise(spec) and not (isinstance(data.d_x, int) and isinstance(data.d_y, int)):
        raise ConfigError(
            f"regularisation.input_noise={_input_noise(spec):g}: takes feature vectors, and these are of shape "
            f"{data.d_x} and {data.d_y}; choose 0, or data of features"
        )


def _input_noise(spec: RunSpec) -> float:
    return float((spec.settings.get("regularisation") or {}).get("input_noise", 0.0))


def _validation(spec: RunSpec) -> list["AnyProbe"]:
    """Return what keeps the best weights, if the settings ask for it."""
    from intrinsic_clip.training.regularisation import BestWeights

    every = (spec.settings.get("regularisation") or {}).get("validate_every_n_epochs")
    return [] if every is None else [BestWeights(every)]


def check_buildable(spec: RunSpec, here: bool = True) -> None:
    """Check that the classes accept their settings, by building everything that needs no data.

    Args:
        spec: the run.
        here: whether this machine will train it, so that its devices and memory must do.

    Raises:
        ConfigError: a value that only its class can judge is impossible.
    """
    from intrinsic_clip.training.memory import check_memory
    from intrinsic_clip.training.tryout import try_out

    indices = spec.replicates.indices
    first = spec if indices is None else spec.with_replicates(indices[:1])
    with _errors_of_classes(Exception):
        data = build_data(first.cfg)
        input_dims = None
        if data.d_x is not None and data.d_y is not None and not config.is_pretrained(first.cfg.encoder):
            input_dims = data.d_x, data.d_y
        if here:
            check_memory(spec, input_dims)
        if input_dims is not None:
            with tried_out():
                _module(first, data)
        try_out(first, here)
        _probes(first.cfg)


def build_data(cfg: DictConfig) -> "PairedData":
    """Build the data source, or a frozen model's features of it if the config has any; nothing is read."""
    features = cfg.get("features")
    wants_images = features is not None or config.is_pretrained(cfg.encoder)
    images = {"images": True} if wants_images and "images" in cfg.data else {}
    data = instantiate(config.read_twice(cfg.data), **images)
    return data if features is None else instantiate(config.read_twice(features))(source=data)


@contextmanager
def _errors_of_classes(*more: type[Exception]) -> Iterator[None]:
    """Turn a class's error about its settings into a one-line ConfigError.

    Args:
        more: errors beside those that a class raises on purpose; before anything is read all are about settings.
    """
    try:
        yield
    except (ConfigError, OSError):
        raise
    except Exception as error:
        if not isinstance(error, (InstantiationException, ValueError, *more)):
            raise
        cause = (error.__cause__ if isinstance(error, InstantiationException) else None) or error
        if isinstance(cause, OSError | ConfigError):
            raise cause from error
        text = " ".join(str(cause).partition("\nfull_key:")[0].split()) or type(cause).__name__
        raise ConfigError(text) from error


def _probes(cfg: DictConfig) -> list["AnyProbe"]:
    """Return the probes.

    Raises:
        ConfigError: one cannot hold numbers for results.json, which would end a training behind its last epoch.
    """
    from intrinsic_clip.probes import AnyProbe

    made = {key: instantiate(node) for key, node in cfg.probes.items() if isinstance(node, DictConfig)}
    for key, probe in made.items():
        setting = f"probes.{key}._target_={cfg.probes[key]._target_}"
        if hasattr(probe, "latest") and hasattr(probe, "reasons"):
            continue  # all that results.json takes of a callback
        if isinstance(probe, AnyProbe):
            raise ConfigError(f"{setting}: its __init__ must call super().__init__()")
        raise ConfigError(f"{setting}: is not a probe; derive it from intrinsic_clip.probes.AnyProbe")
    return list(made.values())


def encoder_on_meta(
    spec: RunSpec, output_dim: int, input_dims: tuple[InputDim, InputDim]
) -> list["nn.Module"]:
    """Return both encoders of one replicate without memory for their weights."""
    import torch

    with torch.device("meta"):
        return [
            instantiate(spec.cfg.encoder, output_dim=output_dim)(input_dim=own, **_partner(spec, other))
            for own, other in (input_dims, input_dims[::-1])
        ]


def _partner(spec: RunSpec, dim: InputDim) -> dict[str, InputDim]:
    """Return the other modality's input size as an argument, for an encoder that takes it."""
    return {"partner_dim": dim} if config.takes(spec.cfg.encoder, "partner_dim") else {}


def _module(spec: RunSpec, data: "PairedData") -> "ContrastiveModule":
    from intrinsic_clip.training.modalities import check_modalities, is_multimodal
    from intrinsic_clip.training.module import ContrastiveModule
    from intrinsic_clip.training.regularisation import InputNoise
    from intrinsic_clip.training.schedule import schedule_of

    cfg, settings, replicates = spec.cfg, spec.settings, spec.replicates
    axes = {"replicates": replicates.shape, "_convert_": "all"} if replicates.shape else {}
    noise, similarity = _input_noise(spec), cfg.objective.similarity
    node = OmegaConf.create(config.without_parts(settings["objective"]))
    objective = instantiate(node, **(axes if config.takes(node, "replicates") else {}))
    check_modalities(spec, data, objective)
    f, g = _pretrained(spec, data) if config.is_pretrained(cfg.encoder) else _from_scratch(spec, data)
    parts = {
        "similarity": instantiate(similarity, **(axes if config.takes(similarity, "replicates") else {})),
        "temperature": None
        if settings["objective"].get("temperature") is None
        else instantiate(cfg.objective.temperature, **axes),
        "optimizer": instantiate(cfg.optimizer),
        "replicates": replicates,
        "objective": objective,
        "schedule": None if cfg.get("schedule") is None else schedule_of(cfg.schedule),
    }
    if is_multimodal(objective):
        from intrinsic_clip.training.multimodal import MultimodalModule

        return MultimodalModule(f, g, _further(spec, data), **parts)
    return ContrastiveModule(
        f,
        g,
        **parts,
        compiled=_is_compiled(spec),
        kernel=_kernel(spec),
        noise=InputNoise(noise, settings["seed"]) if noise else None,
        graphed=settings.get("cuda_graph", False),
    )


def _further(spec: RunSpec, data: "PairedData") -> "dict[str, nn.Module]":
    """Return the encoders of modalities beyond x and y, by name; each takes x for its partner."""
    assert data.d_x is not None
    return {name: _encoder(spec, name, dim, data.d_x) for name, dim in data.further_dims.items()}


def _pretrained(spec: RunSpec, data: "PairedData") -> tuple["nn.Module", "nn.Module"]:
    """Return both encoders of one pretrained model, whose new heads, if any, depend on the seed alone."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(spec.settings["seed"], 0, "f"))
        return instantiate(spec.cfg.encoder, device="cpu").encoders(data.d_x, data.d_y)


def _from_scratch(spec: RunSpec, data: "PairedData") -> tuple["nn.Module", "nn.Module"]:
    assert data.d_x is not None
    assert data.d_y is not None
    return _encoder(spec, "f", data.d_x, data.d_y), _encoder(spec, "g", data.d_y, data.d_x)


def _encoder(spec: RunSpec, stream: str, input_dim: InputDim, partner_dim: InputDim) -> "nn.Module":
    """Return one encoder for all replicates; it gets the other modality's input size if it takes one."""
    from intrinsic_clip.encoders.copies import refuse_decay
    from intrinsic_clip.encoders.replication import replicate

    encoder, replicates = spec.cfg.encoder, spec.replicates
    seeds = [stream_seed(spec.settings["seed"], index, stream) for index in replicates.indices or (0,)]
    output_dims = replicates.output_dims or (spec.settings["encoder"]["output_dim"],)
    partner = _partner(spec, partner_dim)
    # Hydra takes longer than drawing the weights; a part of its own must be drawn anew for each copy, though.
    has_parts = any(OmegaConf.is_config(value) for key, value in encoder.items() if key != "output_dim")
    factories = {} if has_parts else {d: instantiate(encoder, output_dim=d) for d in set(output_dims)}

    def made(d: int) -> "nn.Module":
        """Return a copy of one output dimension."""
        module: nn.Module = (factories.get(d) or instantiate(encoder, output_dim=d))(
            input_dim=input_dim, **partner
        )
        refuse_decay(module, lambda parameters: instantiate(spec.cfg.optimizer)(parameters))
        return module

    return replicate(made, input_dim, seeds, output_dims, replicates.shape)


def _is_compiled(spec: RunSpec) -> bool:
    """Return the setting `compile`; by default whether compiling saves time and a C++ compiler exists."""
    from intrinsic_clip.kernels.library import compiler

    if spec.settings["compile"] is not None:
        return bool(spec.settings["compile"])
    return _replicate_steps(spec) >= STEPS_WORTH_COMPILING and compiler() is not None


def _kernel(spec: RunSpec) -> "KernelName":
    """Return the setting `kernel`; `none` where `auto` would not save time, whatever this machine has built already."""
    setting: KernelName = spec.settings.get("kernel", "auto")
    worthwhile = setting != "auto" or _replicate_steps(spec) >= STEPS_WORTH_A_KERNEL
    return setting if worthwhile else "none"


def _replicate_steps(spec: RunSpec) -> int:
    data, epochs = spec.settings["data"], spec.settings["trainer"].get("max_epochs") or 0
    steps: int = epochs * (data.get("n_train") or 0) // data.get("batch_size", 1)
    return steps * len(spec.replicates)
