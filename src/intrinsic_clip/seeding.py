"""Make random generators that depend on a seed and a place alone, so that whatever draws can be resumed."""

import numpy as np
import torch


def generator(seed: int, *place: int) -> torch.Generator:
    """Return the generator of a place, such as an epoch or a step; other places and seeds have other numbers."""
    state = np.random.SeedSequence([seed, *place]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(state[0]) << 32 | int(state[1]))
