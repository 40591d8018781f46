"""Hold pairs drawn at random, of which some fit directions and stored forms and the others try them."""

from dataclasses import dataclass

from torch import Tensor

from intrinsic_clip.measurement.groups import UNGROUPED, Grouping
from intrinsic_clip.metrics.pairing import Pairing


@dataclass(frozen=True)
class SampledPairs:
    """Pairs in the order in which they were drawn.

    Attributes:
        x, y: `(n, d_x)` and `(n, d_y)`.
        pairing: which of them belong together, rows that repeat included.
        labels: their classes, int64 `(n,)`; None where there are none.
    """

    x: Tensor
    y: Tensor
    pairing: Pairing
    labels: Tensor | None = None

    @classmethod
    def of(cls, x: Tensor, y: Tensor, grouping: Grouping = UNGROUPED) -> "SampledPairs":
        """Find which pairs belong together, once for all that asks.

        Args:
            x, y: the pairs.
            grouping: of these pairs.
        """
        return cls(x, y, grouping.pairing(x, y), grouping.labels)
