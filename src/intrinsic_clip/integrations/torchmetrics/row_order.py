"""Put rows into an order that looks random and depends on the rows alone, so that processes agree on a sample."""

import torch
from torch import Tensor

from intrinsic_clip.seeding import seeded

ODD = (-49064778989728563, -4265267296055464877)  # of MurmurHash3's finaliser, as signed integers


def order_of(rows: Tensor, seed: int) -> Tensor:
    """Return a number in [0, 1) for each row that looks random and depends on its content and the seed alone."""
    bits = rows.float().contiguous().view(torch.int32).long()
    generator = seeded(seed)
    factors = (
        torch.randint(2**62, (bits.shape[1],), generator=generator, device="cpu").to(bits.device) * 2 + 1
    )
    mixed = (bits * factors).sum(1)
    for factor in ODD:
        mixed = (mixed ^ ((mixed >> 33) & (2**31 - 1))) * factor
    mixed = mixed ^ ((mixed >> 33) & (2**31 - 1))
    return ((mixed >> 11) & (2**53 - 1)).double() / 2**53
