"""Which rows of two modalities belong together where rows repeat, come in groups, or are prompts of classes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.metrics.counterparts import (
    Counterparts,
    counterparts_of,
    distinct_rows,
    halves_of_things,
    linked,
    with_copies,
)


@dataclass(frozen=True)
class Pairing:
    """Numbers of the things that n pairs show, on the CPU.

    Attributes:
        x, y: int64 `(n,)`; equal numbers are the same thing.
        groups: `(n,)`; rows of one group are partners of each other. None: row i of row i.
        classes: y are prompts of classes, which other rows of x would have too, so that rows of a class may be held out
            while others of it are fitted on.
    """

    x: Tensor
    y: Tensor
    groups: Tensor | None = None
    classes: bool = False

    @classmethod
    def of_rows(cls, x: Tensor, y: Tensor, groups: Tensor | None = None, classes: bool = False) -> "Pairing":
        """Find rows that repeat, copies that differ by rounding included."""
        things_x, things_y = (with_copies(rows, distinct_rows(rows)) for rows in (x, y))
        return cls(things_x, things_y, None if groups is None else groups.cpu(), classes)

    def at(self, rows: Tensor) -> "Pairing":
        """Return the pairing of some of the rows."""
        groups = None if self.groups is None else self.groups[rows]
        return Pairing(self.x[rows], self.y[rows], groups, self.classes)

    def counterparts(self) -> Counterparts | None:
        """Return the right answers; None where row i alone answers row i."""
        return counterparts_of(self.x, self.y, self.groups)

    def halves(self, seed: int) -> tuple[Tensor, Tensor]:
        """Cut the rows in two halves at random, with everything that hangs together on one side.

        Raises:
            ConfigError: a group holds so many rows that no half can do without it.
        """
        if self.classes:
            return halves_of_things(self.x, self.x, seed)
        if self.groups is None:
            return halves_of_things(self.x, self.y, seed)
        together = self._components()
        largest = int(torch.bincount(together).max())
        if 4 * largest > 3 * len(together):
            raise ConfigError(
                f"groups: one group, with what hangs together with it, holds {largest:,} of {len(together):,} rows, so "
                "that no half without it can be held out; labels=… takes classes"
            )
        return halves_of_things(together, together, seed)

    def _components(self) -> Tensor:
        """Return the number of the component of each row: rows with a thing or a group in common share one."""
        assert self.groups is not None
        parts = [torch.unique(each, return_inverse=True)[1] for each in (self.x, self.y, self.groups)]
        counts = [int(part.max()) + 1 for part in parts]
        first, second = torch.cat([parts[2], parts[2]]), torch.cat([parts[0], parts[1] + counts[0]])
        return linked(first, second, counts[2], counts[0] + counts[1])[parts[2]]
