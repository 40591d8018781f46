"""Hold the representations of one evaluation, with their nearest neighbours, for everything that measures them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from torch import Tensor
from torch.nn.functional import normalize

from intrinsic_clip.dimension import Neighbours, nearest_neighbours
from intrinsic_clip.metrics.counterparts import Counterparts, counterparts_of, distinct_rows

Side: TypeAlias = str  # x, y, or the name of a further modality
FEWEST = 10  # rows for each different one, on both sides, from which on repeats are no captions or classes


class Measured(NamedTuple):
    """One number, with a reason where it is NaN.

    Attributes:
        value: `(*R,)`; None stands for NaN in every replicate.
        reason: one line that says why (some of) the value is NaN; None where there is nothing to explain.
    """

    value: Tensor | None
    reason: str | None = None


@dataclass
class Embeddings:
    """Representations of the rows of one evaluation.

    Attributes:
        x, y: representations as the loss sees them, `(*R, n, d)`; y is None where there is only one modality.
        x_raw, y_raw: the encoders' own outputs, `(*R, n, d)`; None where those are x and y.
        tau: the temperature, `(*R,)`, where it is known.
        no_tau: why it is not known.
        z: the true latent, `(*R, n, k*)`, where it is known.
        labels: label sets by name, `(n,)` each.
        things: the number of the thing that each row of x and of y shows, `(n,)` each, so that rows of one thing have
            equal numbers; None: rows of x or of y that are equal show one thing.
        further: representations of further modalities by name, as the loss sees them, `(*R, n, d)` each.
        further_raw: the encoders' own outputs of those, by name.
        further_things: the number of the thing that each row of those shows, by name, `(n,)` each.
        latents: blocks of the true latent by the modalities that share them, where they are known, `(*R, n, k)` each.
        left_out: a note on rows that are not among them, since they hold NaN or infinity; None: there were none.
    """

    x: Tensor
    y: Tensor | None = None
    x_raw: Tensor | None = None
    y_raw: Tensor | None = None
    tau: Tensor | None = None
    z: Tensor | None = None
    labels: dict[str, Tensor] = field(default_factory=dict)
    things: tuple[Tensor, Tensor] | None = None
    further: dict[Side, Tensor] = field(default_factory=dict)
    further_raw: dict[Side, Tensor] = field(default_factory=dict)
    further_things: dict[Side, Tensor] = field(default_factory=dict)
    latents: dict[str, Tensor] = field(default_factory=dict)
    left_out: str | None = None
    no_tau: str | None = None
    _row_things: tuple[Tensor, Tensor] | None = field(default=None, repr=False)
    _neighbours: dict[Side, Neighbours] = field(default_factory=dict, repr=False)

    def sides(self) -> dict[Side, Tensor]:
        """Return x, y if there is one, and further modalities, by name."""
        return {"x": self.x} if self.y is None else {"x": self.x, "y": self.y, **self.further}

    def odd_rows(self, sides: Iterable[Side]) -> str | None:
        """Return how many rows of the first of the sides that has some hold NaN or infinity; None: no side has any."""
        for side in sides:
            rows = self.sides()[side]
            odd = ~rows.isfinite().all(-1)
            if bool(odd.any()):
                return f"{int(odd.sum()):,} of {odd.numel():,} rows of {side} hold NaN or infinity"
        return None

    def of_pair(self, first: Side, second: Side) -> "Embeddings":
        """Return two of the modalities as x and y, with the temperature and the labels.

        Raises:
            ValueError: there is no y.
        """
        x, y = self.pair()
        own, raw = {"x": x, "y": y, **self.further}, {"x": self.x_raw, "y": self.y_raw, **self.further_raw}
        things = {**dict(zip("xy", self.things or (), strict=False)), **self.further_things}
        both = (things[first], things[second]) if {first, second} <= set(things) else None
        return Embeddings(
            own[first],
            own[second],
            raw.get(first),
            raw.get(second),
            self.tau,
            labels=self.labels,
            things=both,
        )

    def pair(self, raw: bool = False) -> tuple[Tensor, Tensor]:
        """Return x and y as the loss sees them, or the encoders' own outputs.

        Raises:
            ValueError: there is no y.
        """
        if self.y is None:
            raise ValueError("needs x and y, and there is only one embedding")
        if raw and self.x_raw is not None and self.y_raw is not None:
            return self.x_raw, self.y_raw
        return self.x, self.y

    def normalised_pair(self) -> tuple[Tensor, Tensor]:
        """Return x and y as the loss sees them; those of another's module, which may be its raw outputs, at length 1.

        Raises:
            ValueError: there is no y, or a further modality.
        """
        if self.further:
            raise ValueError(f"is of two modalities, and there are {', '.join(self.sides())}")
        x, y = self.pair()
        return (x, y) if self.x_raw is not None else (normalize(x, dim=-1), normalize(y, dim=-1))

    def counterparts(self) -> Counterparts | None:
        """Return the right answers of retrieval where rows repeat, such as an image with five captions; else None.

        Raises:
            ValueError: there is no y, or nearly all rows of both sides repeat others, as a collapsed encoder's do.
        """
        if self.things is None and self._row_things is None:
            x, y = self.pair(raw=True)
            things = distinct_rows(x), distinct_rows(y)
            counts = [len(numbers.unique()) for numbers in things]
            if FEWEST * max(counts) <= len(things[0]):
                raise ValueError(
                    f"of {len(things[0]):,} rows {counts[0]:,} of x and {counts[1]:,} of y differ, as where encoders "
                    "collapse or data repeat, and the rows alone do not tell which partners are right"
                )
            self._row_things = things
        found = self.things or self._row_things
        assert found is not None
        return counterparts_of(*found)

    def repeated(self, side: Side) -> Tensor | None:
        """Return the number of the thing that each row of a side shows, `(n,)`; None where all show different ones.

        Rows alone are no things where so few differ that their encoder may have collapsed.
        """
        rows, n = self.sides()[side], self.x.shape[-2]
        known = {**dict(zip("xy", self.things or (), strict=False)), **self.further_things}
        things = known[side] if side in known else distinct_rows(rows)
        count = len(things.unique())
        if count == n or (side not in known and FEWEST * count <= n):
            return None
        return things

    def neighbours(self, side: Side, k: int) -> Neighbours:
        """Return at least k nearest neighbours of each row of x or y; one search serves all that need no more."""
        neighbours = self._neighbours.get(side)
        if neighbours is None or neighbours.k < k or (neighbours.reason is not None and neighbours.k > k):
            neighbours = self._neighbours[side] = nearest_neighbours(self.sides()[side], k)
        return neighbours
