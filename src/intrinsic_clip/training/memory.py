"""Estimate the least memory that a training takes, so that impossible sizes are refused before they are tried."""

import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.spec import RunSpec

if TYPE_CHECKING:
    from intrinsic_clip.training.build import InputDim

NUMBER = 4  # bytes of a float32
COPIES = 4  # of a weight: itself, its gradient and Adam's two moments
MOST_LAYERS = 10_000
LIMIT = Path("/sys/fs/cgroup/memory.max")


def check_memory(spec: RunSpec, input_dims: "tuple[InputDim, InputDim] | None") -> None:
    """Check that data, weights and logits fit each by themselves.

    Args:
        spec: the run.
        input_dims: sizes of the encoders' inputs where they are known without reading data.

    Raises:
        ConfigError: one of them takes more memory than there is.
    """
    memory, name = _memory(spec)
    for part, numbers in _parts(spec, input_dims).items():
        needed = numbers * NUMBER
        if needed > memory:
            raise ConfigError(f"{part} would take {_gib(needed)}, more than the {_gib(memory)} of {name}")


def _parts(spec: RunSpec, input_dims: "tuple[InputDim, InputDim] | None") -> dict[str, int]:
    """Return how many numbers each part of the training holds at least, by the settings that decide it."""
    data, objective, at_once = spec.settings["data"], spec.settings["objective"], trained_at_once(spec)
    parts = {}
    rows = sum(data.get(key) or 0 for key in ("n_train", "n_append", "n_test"))
    if input_dims is not None:
        repetitions = max(1, at_once // len(spec.replicates.output_dims or (0,)))
        widths = sum(math.prod(dim) if isinstance(dim, tuple) else dim for dim in input_dims)
        parts[f"data: {rows:,} rows of {widths:,} numbers"] = rows * widths * repetitions
        parts["encoder: its weights"] = _weights(spec, input_dims) * at_once * COPIES
    batch = data.get("batch_size")
    if isinstance(batch, int):
        parts[f"data.batch_size={batch}: the logits"] = (
            batch * min(batch, objective.get("chunk") or batch) * at_once
        )
    return parts


def trained_at_once(spec: RunSpec) -> int:
    """Return the number of trainings that are in memory at a time."""
    per_chunk = spec.settings["replicates_per_chunk"]
    repetitions = len(spec.replicates.indices or (0,))
    return min(repetitions, per_chunk or repetitions) * len(spec.replicates.output_dims or (0,))


def _weights(spec: RunSpec, input_dims: "tuple[InputDim, InputDim]") -> int:
    """Return the number of weights of both encoders at the widest output."""
    from intrinsic_clip.training.build import encoder_on_meta

    encoder = spec.settings["encoder"]
    for key, value in encoder.items():
        if key.endswith(("layers", "stages")) and isinstance(value, int) and value > MOST_LAYERS:
            raise ConfigError(f"encoder.{key}={value}: must be at most {MOST_LAYERS:,}")
    widest = max(spec.replicates.output_dims or (encoder["output_dim"],))
    try:
        encoders = encoder_on_meta(spec, widest, input_dims)
    except NotImplementedError:  # an encoder that computes with its weights when it is made
        return 0
    except (OverflowError, RuntimeError) as error:
        if "overflow" not in str(error).lower() and "too large" not in str(error).lower():
            raise
        raise ConfigError("encoder: its weights are more than any memory holds; make it narrower") from error
    return sum(parameter.numel() for encoder in encoders for parameter in encoder.parameters())


def _memory(spec: RunSpec) -> tuple[int, str]:
    """Return the bytes of the device that will train, and its name."""
    import os

    import torch

    if spec.settings["trainer"].get("accelerator") in ("gpu", "cuda") and torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory, "a GPU"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # there may be no limit
        memory = min(memory, int(LIMIT.read_text("ascii")))
    return memory, "this machine"


def _gib(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"
