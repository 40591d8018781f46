"""Hold the rows of one of two models, so that rows of both can be found by one number."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_clip.dimension.row_source import RowSource, finite_rows
from intrinsic_clip.measurement.groups import UNGROUPED, Grouping
from intrinsic_clip.measurement.inputs import Inputs, taken
from intrinsic_clip.seeding import seeded


@dataclass(frozen=True)
class Model:
    """Embeddings of one model, row by row as those of the other.

    Attributes:
        sources: rows of x, and of y if there is one.
        usable: which of them can be compared, `(n,)`.
        numbers: their numbers in what they were read from, ascending; None where all rows are there.
        total: rows of that.
        grouping: groups and classes of the rows of `sources`.
    """

    sources: Mapping[str, RowSource]
    usable: Tensor
    numbers: Tensor | None
    total: int
    grouping: Grouping = UNGROUPED

    @classmethod
    def of_inputs(cls, inputs: Inputs) -> "Model":
        """Return the embeddings of a command."""
        if inputs.files is not None:
            return cls(inputs.sources, inputs.usable(), None, inputs.n)
        embeddings = inputs.embeddings
        grouping = UNGROUPED if embeddings.grouping is None else embeddings.grouping
        return cls(inputs.sources, inputs.usable(), embeddings.numbers, embeddings.total, grouping)

    @classmethod
    def of_rows(cls, sources: Mapping[str, RowSource], grouping: Grouping | None) -> "Model":
        """Return embeddings in memory, of which finite ones can be compared."""
        finite = [finite_rows(source).cpu() for source in sources.values()]
        n = sources["x"].shape[0]
        return cls(sources, torch.stack(finite).all(0), None, n, UNGROUPED if grouping is None else grouping)

    def usable_numbers(self) -> Tensor:
        """Return the numbers of the rows that can be compared, ascending."""
        return self.usable.nonzero().squeeze(-1) if self.numbers is None else self.numbers[self.usable]

    def drawn(self, seed: int) -> Tensor:
        """Return the numbers of the rows that can be compared, in the order in which a measurement draws them."""
        order = torch.randperm(len(self.usable), generator=seeded(seed))
        order = order[self.usable[order]]
        return order if self.numbers is None else self.numbers[order]

    def rows(self, numbers: Tensor) -> dict[str, Tensor]:
        """Return the rows of x, and of y if there is one, that have these numbers, on the CPU."""
        return {side: rows.cpu() for side, rows in taken(self.sources, self._places(numbers)).items()}

    def grouping_of(self, numbers: Tensor) -> Grouping:
        """Return groups and classes of the rows that have these numbers."""
        return self.grouping.at(self._places(numbers))

    def rows_of_x(self, numbers: Tensor) -> Tensor:
        """Return the number in the file of x of the row that each pair has, which several pairs may share."""
        of_x = self.grouping_of(numbers).of_x
        return numbers if of_x is None else of_x

    def _places(self, numbers: Tensor) -> Tensor:
        return numbers if self.numbers is None else torch.searchsorted(self.numbers, numbers)
