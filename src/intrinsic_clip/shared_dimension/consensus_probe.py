"""Read the dimension that the replicates of a run agree on, off the Jacobians that they have at shared rows."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import PositiveInt
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from intrinsic_clip.data.paired import Split
from intrinsic_clip.encoders.replication import ReplicatedFeedForward
from intrinsic_clip.probes.embeddings import Side, encoders_of, sample
from intrinsic_clip.probes.probe import Measured, Probe
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.seeding import seeded
from intrinsic_clip.shared_dimension import gaps
from intrinsic_clip.shared_dimension.consensus import metrics, ratios, spectra
from intrinsic_clip.typed_values import checked

NO_GAP = "no clear gap in the spectrum of the replicates' mean metric"
MOST_BYTES = 2**31  # of one modality's metrics


@dataclass
class Copies:
    """The replicates' encoders, and rows of one replicate that all are differentiated at.

    Attributes:
        replicates: how the copies lie on the leading axes.
        f, g: encoders.
        rows: `(n, p)` by modality.
        further: encoders of further modalities by name.
    """

    replicates: Replicates
    f: ReplicatedFeedForward
    g: ReplicatedFeedForward
    rows: dict[Side, Tensor]
    further: dict[Side, ReplicatedFeedForward] = field(default_factory=dict)

    def sides(self) -> dict[Side, Tensor]:
        """Return the rows by modality."""
        return self.rows


class ConsensusProbe(Probe):
    """Log the consensus rank of a run's replicates, `consensus/rank`, and its gap, `consensus/gap`.

    As `intrinsic_clip.shared` does, the metrics that the replicates' normalised outputs pull back to the inputs are
    averaged over the replicates at held-out rows; the rank is the place of the last clear gap in the root eigenvalues,
    by the geometric mean of the ratios of both modalities. The size that a gap must have is set by encoders of the same
    shape with random weights, where `shared` trains on shuffled pairs. All replicates of one output dimension have the
    same value, which is NaN where there is no clear gap. Of three and more modalities each has numbers of its own, as
    `consensus/rank/z`, by its own ratios, since the encoders need not agree on one dimension.

    The rows are those of the first replicate, and the inputs must mean the same in all: a source that draws a rotation
    for each replicate (`SyntheticRotated`) has no consensus.

    Args:
        max_points: rows at which the metrics are taken.
        kwargs: the arguments of `Probe` but `source`: only a `ContrastiveModule` has replicates.
    """

    @checked()
    def __init__(self, max_points: PositiveInt = 256, **kwargs: Any) -> None:
        super().__init__(None, **kwargs)
        self.max_points = max_points

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the names of rank and gap, which both modalities share; of more than two, those of each."""
        ends = [""] if len(sides) <= 2 else [f"/{side}" for side in sides]
        return [f"consensus/{name}{end}" for end in ends for name in ("rank", "gap")]

    def of_split(self, trainer: Trainer, module: LightningModule, split: Split) -> Copies:
        """Return the encoders of a ContrastiveModule, and a sample of the first replicate's rows.

        Raises:
            ValueError: encoders that are no copies of a feed-forward network, or metrics beyond 2 GiB.
        """
        encoders: dict[Side, ReplicatedFeedForward] = {}
        for side, encoder in encoders_of(module).items():
            if not isinstance(encoder, ReplicatedFeedForward):
                raise ValueError("needs replicates of feed-forward encoders")
            encoders[side] = encoder
        pairs = sample(trainer.datamodule.pairs(split), self.max_points, self.seed)  # type: ignore[attr-defined]
        rows: dict[Side, Tensor] = {
            side: inputs.flatten(0, -3)[0] if inputs.ndim > 2 else inputs
            for side, inputs in pairs.modalities().items()
        }
        for side, encoder in encoders.items():
            _check_memory(encoder, rows[side])
        replicates: Any = module.replicates
        return Copies(replicates, encoders.pop("x"), encoders.pop("y"), rows, encoders)

    def measure(self, embeddings: Any) -> dict[str, Tensor | Measured]:
        """Measure the consensus of `Copies`, for each output dimension."""
        copies: Copies = embeddings
        number, shape = len(copies.replicates.indices or (0,)), copies.replicates.shape
        output_dims = copies.replicates.output_dims or (copies.f(copies.rows["x"][:1]).shape[-1],)
        encoders = (copies.f, copies.g, *copies.further.values())
        steps = self._ratios(encoders, copies, number, output_dims)
        random = [_with_random_weights(encoder, self.seed) for encoder in encoders]
        by_chance = self._ratios(random, copies, number, output_dims)
        if not copies.further:
            return _numbers("", steps, by_chance, number, shape)
        numbers: dict[str, Tensor | Measured] = {}
        for place, side in enumerate(copies.rows):
            own, chance = ([[sides[place]] for sides in every] for every in (steps, by_chance))
            numbers |= _numbers(f"/{side}", own, chance, number, shape)
        return numbers

    def _ratios(
        self,
        encoders: Sequence[ReplicatedFeedForward],
        copies: Copies,
        number: int,
        output_dims: Sequence[int],
    ) -> list[list[Tensor]]:
        """Return the ratios of each modality's consensus spectrum, for each output dimension."""
        both = zip(encoders, copies.rows.values(), strict=True)
        local = [metrics(encoder, rows).unflatten(0, (-1, number)) for encoder, rows in both]
        return [
            [gaps.readable(ratios(spectra(side[place]).mean(0), d), number) for side in local]
            for place, d in enumerate(output_dims)
        ]


def _check_memory(encoder: ReplicatedFeedForward, rows: Tensor) -> None:
    """Refuse what would end in the system killing the training."""
    copies, (points, width) = math.prod(encoder.shape), rows.shape
    needed = 4 * copies * points * width**2
    if needed > MOST_BYTES:
        fewest = MOST_BYTES // (4 * copies * width**2)
        raise ValueError(
            f"the metrics of {copies} encoders at {points} rows of {width:,} columns take {needed / 2**30:.0f} GiB; "
            f"max_points={fewest} takes 2"
            if fewest
            else f"inputs of {width:,} columns are too wide"
        )


def _numbers(
    end: str,
    steps: list[list[Tensor]],
    by_chance: list[list[Tensor]],
    number: int,
    shape: tuple[int, ...],
) -> dict[str, Tensor | Measured]:
    """Return rank and gap of the ratios of some modalities together, for each output dimension."""
    rank, size = [], []
    for sides, null in zip(steps, by_chance, strict=True):
        together = gaps.combined(*sides) if len(sides) > 1 else sides[0]
        gap = (
            gaps.last_gap(together, gaps.thresholds(float(torch.cat(null).max()))) if len(together) else None
        )
        rank.append(math.nan if gap is None or gap.dimension is None else float(gap.dimension))
        size.append(math.nan if gap is None else gap.ratio)

    def for_each(values: list[float]) -> Tensor:
        return torch.tensor(values)[:, None].expand(-1, number).reshape(shape)

    reason = NO_GAP if any(math.isnan(value) for value in rank) else None
    return {
        f"consensus/rank{end}": Measured(for_each(rank), reason),
        f"consensus/gap{end}": Measured(for_each(size), reason if any(map(math.isnan, size)) else None),
    }


@torch.no_grad()
def _with_random_weights(encoder: ReplicatedFeedForward, seed: int) -> ReplicatedFeedForward:
    """Return a copy whose weights are Gaussian with the root mean squares of the encoder's own, zeros staying zero."""
    generator = seeded(seed)
    copied = copy.deepcopy(encoder)
    for weight in copied.parameters():
        drawn = torch.randn(weight.shape, generator=generator).to(weight)
        size = weight.square().mean(tuple(range(1, weight.ndim)), keepdim=True).sqrt()
        weight.copy_((drawn * size).where(weight != 0, 0.0))
    return copied
