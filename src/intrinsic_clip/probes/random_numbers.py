"""Keep the random numbers of a training apart from those that its measurement draws."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import numpy as np
import torch

_seeds = count()


@contextmanager
def own_random_numbers(device: torch.device) -> Iterator[None]:
    """Draw other random numbers than the training, which goes on as if none had been drawn.

    Each use has others, so that the batches of a measurement do not share theirs. Of PyTorch, those of the CPU and of a
    CUDA device are kept; of NumPy and Python, the global ones.

    Args:
        device: of the module that is measured.
    """
    seed = next(_seeds)
    of_python, of_numpy = random.getstate(), np.random.get_state()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)
        for each in devices:
            with torch.cuda.device(each):
                torch.cuda.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)
