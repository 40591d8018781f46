"""Compare partners in one pass over both modalities: their mean cosine, and their modalities' mean directions."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from intrinsic_clip.dimension.row_source import RowSource
from intrinsic_clip.dimension.row_workers import in_order
from intrinsic_clip.measurement.doubts import SAME
from intrinsic_clip.metrics.alignment import directions

BLOCK = 2048  # rows


@dataclass(frozen=True)
class PairedSums:
    """Sums over pairs.

    Attributes:
        cosine: of the pairs' cosines.
        x, y: of the rows' directions, `(d,)`.
        smallest: the smallest cosine.
        count: pairs.
    """

    cosine: float
    x: Tensor
    y: Tensor
    smallest: float
    count: int

    @property
    def alignment(self) -> float:
        """Return the mean cosine."""
        return self.cosine / self.count

    @property
    def modality_gap(self) -> float:
        """Return the distance of the mean directions."""
        return float(torch.linalg.vector_norm((self.x - self.y) / self.count))

    @property
    def same(self) -> bool:
        """Return whether every row points the way that its partner does."""
        return self.smallest > 1 - SAME


def paired_sums(x: RowSource, y: RowSource, usable: Tensor, device: torch.device | str = "cpu") -> PairedSums:
    """Go through all pairs.

    Args:
        x, y: rows of equal width; row i of x and row i of y are a pair.
        usable: pairs that count, `(n,)`.
        device: where to compute.
    """
    device = torch.device(device)
    workers = torch.get_num_threads() if device.type == "cpu" else 1
    parts = in_order(partial(_of_block, usable=usable, device=device), _pairs(x, y), workers)
    # Summed in place: small results that stay would keep the memory of whole blocks from being returned.
    totals = torch.zeros(2, x.shape[1], dtype=torch.float64)
    cosine, smallest, count = 0.0, 1.0, 0
    for part in parts:
        totals[0] += part.x
        totals[1] += part.y
        cosine, smallest, count = cosine + part.cosine, min(smallest, part.smallest), count + part.count
    return PairedSums(cosine, totals[0], totals[1], smallest, count)


def _pairs(x: RowSource, y: RowSource) -> Iterator[tuple[int, Tensor, Tensor]]:
    for (start, block), (_, partners) in zip(x.blocks(BLOCK), y.blocks(BLOCK), strict=True):
        yield start, block, partners


def _of_block(pairs: tuple[int, Tensor, Tensor], usable: Tensor, device: torch.device) -> PairedSums:
    start, *blocks = pairs
    kept = usable[start : start + len(blocks[0])]
    x, y = (directions((block if bool(kept.all()) else block[kept]).to(device)) for block in blocks)
    cosines = (x * y).sum(1)
    smallest = float(cosines.min()) if len(cosines) else 1.0
    return PairedSums(float(cosines.sum()), x.sum(0).cpu(), y.sum(0).cpu(), smallest, len(cosines))
