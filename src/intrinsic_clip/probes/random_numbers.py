"""Keep the random numbers of a training apart from those that its measurement draws."""

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from typing import Any

import numpy as np
import torch

_seeds = count()


@contextmanager
def own_random_numbers(device: torch.device) -> Iterator[None]:
    """Draw other random numbers than the training, which goes on as if none had been drawn.

    Each use has others, so that the batches of a measurement do not share theirs. Of PyTorch, those of the CPU and
    of the device are kept, be it of CUDA, Apple's Metal or another kind; of NumPy and Python, the global ones.

    Args:
        device: of the module that is measured.
    """
    seed = next(_seeds)
    of_python, of_numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([]), _of_device(device, seed):
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)


@contextmanager
def _of_device(device: torch.device, seed: int) -> Iterator[None]:
    """Draw from a seed on an accelerator, and give it back its own state; do nothing where it has none."""
    kind: Any = getattr(torch, device.type, None)
    if not hasattr(kind, "get_rng_state"):  # the CPU, whose are PyTorch's own, and meta tensors
        yield
        return
    several = device.type != "mps"  # Metal has one device, and its functions take none
    state = kind.get_rng_state(device) if several else kind.get_rng_state()
    with kind.device(device) if several else nullcontext():
        kind.manual_seed(seed)
    try:
        yield
    finally:
        kind.set_rng_state(*((state, device) if several else (state,)))
