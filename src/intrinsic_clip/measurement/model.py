"""Hold the rows of a model by their numbers, in which it draws them and in which rows of two models are the same."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_clip.dimension.row_source import RowSource, finite_rows
from intrinsic_clip.measurement.groups import UNGROUPED, Grouping
from intrinsic_clip.measurement.inputs import Inputs
from intrinsic_clip.seeding import drawn_order


@dataclass(frozen=True)
class Model:
    """Embeddings of one model.

    Attributes:
        sources: rows of x, and of y if there is one.
        usable: which of them are finite, `(n,)`.
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
            return cls.of_rows(inputs.sources, None)
        embeddings, usable = inputs.embeddings, torch.ones(inputs.n, dtype=torch.bool)
        grouping = UNGROUPED if embeddings.grouping is None else embeddings.grouping
        return cls(inputs.sources, usable, embeddings.numbers, embeddings.total, grouping)

    @classmethod
    def of_rows(cls, sources: Mapping[str, RowSource], grouping: Grouping | None) -> "Model":
        """Return all rows of the sources, of which some may not be finite."""
        finite = [finite_rows(source).cpu() for source in sources.values()]
        n = sources["x"].shape[0]
        return cls(sources, torch.stack(finite).all(0), None, n, UNGROUPED if grouping is None else grouping)

    def usable_numbers(self) -> Tensor:
        """Return the numbers of the finite rows, ascending."""
        return self.usable.nonzero().squeeze(-1) if self.numbers is None else self.numbers[self.usable]

    def drawn(self, seed: int) -> Tensor:
        """Return the numbers of the finite rows, in the order in which a measurement of this seed draws them."""
        order = drawn_order(self.usable, seed)
        return order if self.numbers is None else self.numbers[order]

    def rows(self, numbers: Tensor) -> dict[str, Tensor]:
        """Return the rows of x, and of y if there is one, in float32, or in float64 where a source has that."""
        rows = {side: source.take(self._places(numbers)) for side, source in self.sources.items()}
        return {side: each if each.dtype == torch.float64 else each.float() for side, each in rows.items()}

    def grouping_of(self, numbers: Tensor) -> Grouping:
        """Return groups and classes of the rows that have these numbers."""
        return self.grouping.at(self._places(numbers))

    def rows_of_x(self, numbers: Tensor) -> Tensor:
        """Return the number in the file of x of the row that each pair has, which several pairs may share."""
        of_x = self.grouping_of(numbers).of_x
        return numbers if of_x is None else of_x

    def _places(self, numbers: Tensor) -> Tensor:
        return numbers if self.numbers is None else torch.searchsorted(self.numbers, numbers)
