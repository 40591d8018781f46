"""Make random generators that depend on a seed and a place alone, so that whatever draws can be resumed."""

from numbers import Integral

import numpy as np
import torch
from torch import Tensor


def generator(seed: int, *place: int) -> torch.Generator:
    """Return the generator of a place, such as an epoch or a step; other places and seeds have other numbers."""
    state = np.random.SeedSequence([seed, *place]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(state[0]) << 32 | int(state[1]))


def seeded(seed: int) -> torch.Generator:
    """Return PyTorch's generator of a seed on the CPU; it takes NumPy's whole numbers too, as `np.arange` gives them.

    Raises:
        ValueError: the seed is no whole number.

    Example:
        >>> import numpy as np
        >>> from intrinsic_clip.seeding import seeded
        >>> seeded(np.int64(3)).initial_seed()
        3
    """
    if not isinstance(seed, Integral) or isinstance(seed, bool):
        raise ValueError(f"seed must be a whole number, got {seed!r}")
    return torch.Generator("cpu").manual_seed(int(seed))  # whatever the default device is


def drawn_order(usable: Tensor, seed: int) -> Tensor:
    """Return the places of the usable rows in the order in which a seed draws them.

    Args:
        usable: which of the rows may be drawn, `(n,)`.
        seed: of the draw.

    Example:
        >>> import torch
        >>> from intrinsic_clip.seeding import drawn_order
        >>> sorted(drawn_order(torch.tensor([True, False, True, True]), seed=0).tolist())
        [0, 2, 3]
    """
    order = torch.randperm(len(usable), generator=seeded(seed))
    return order[usable[order]]
