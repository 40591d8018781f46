"""The embeddings of one evaluation, shared by all probes, as are their nearest neighbours."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn

from intrinsic_clip.data.paired import Pairs, Split
from intrinsic_clip.dimension import Neighbours, nearest_neighbours

Side = Literal["x", "y"]


@dataclass
class Embeddings:
    """Representations of the rows of one evaluation.

    Attributes:
        x, y: representations as the loss sees them, `(*R, n, d)`; y is None where there is only one modality.
        x_raw, y_raw: the encoders' own outputs, `(*R, n, d)`; None where those are x and y.
        tau: the temperature, `(*R,)`, where it is known.
        z: the true latent where it is known, `(*R, n, k*)`. labels: label sets by name, `(n,)`.
    """

    x: Tensor
    y: Tensor | None = None
    x_raw: Tensor | None = None
    y_raw: Tensor | None = None
    tau: Tensor | None = None
    z: Tensor | None = None
    labels: dict[str, Tensor] = field(default_factory=dict)
    _neighbours: dict[Side, Neighbours] = field(default_factory=dict, repr=False)

    def sides(self) -> dict[Side, Tensor]:
        """x, and y where there is one."""
        return {"x": self.x} if self.y is None else {"x": self.x, "y": self.y}

    def pair(self, raw: bool = False) -> tuple[Tensor, Tensor]:
        """x and y, or the encoders' own outputs.

        Raises:
            ValueError: there is no y.
        """
        if self.y is None:
            raise ValueError("needs x and y, and there is only one embedding")
        if raw and self.x_raw is not None and self.y_raw is not None:
            return self.x_raw, self.y_raw
        return self.x, self.y

    def neighbours(self, side: Side, k: int) -> Neighbours:
        """At least k nearest neighbours of each row of x or y, searched for once."""
        found = self._neighbours.get(side)
        if found is None or found.k < k or (found.reason is not None and found.k > k):
            found = self._neighbours[side] = nearest_neighbours(self.sides()[side], k)
        return found


_latest: WeakKeyDictionary[LightningModule, dict[tuple[Split, int, int], tuple[int, Embeddings]]] = (
    WeakKeyDictionary()
)


@torch.no_grad()
def take_embeddings(
    trainer: Trainer, module: LightningModule, split: Split, max_samples: int = 10**9, seed: int = 0
) -> Embeddings:
    """A ContrastiveModule's embeddings of a split of PairedData; asked again at the same step, the same object.

    Args:
        max_samples: a larger split is represented by that many of its rows, drawn with `seed`.
    """
    pairs = trainer.datamodule.pairs(split)  # type: ignore[attr-defined]
    cache = _latest.setdefault(module, {})
    key = (split, max_samples, seed) if len(pairs) > max_samples else (split, 0, 0)  # all rows are all rows
    if key not in cache or cache[key][0] != trainer.global_step:
        cache[key] = (trainer.global_step, _embed(module, sample(pairs, max_samples, seed)))
    return cache[key][1]


def forget_embeddings(module: LightningModule) -> None:
    """Take them anew: called when a fit or test begins, since weights may have changed without a step."""
    _latest.pop(module, None)


def _embed(module: Any, pairs: Pairs) -> Embeddings:
    with evaluating(module):
        x_raw, y_raw = module.encode(pairs.x, pairs.y)
        x, y = module.normalise(x_raw, y_raw)
        return Embeddings(x, y, x_raw, y_raw, module.temperature(), pairs.z, pairs.labels)


def sample(pairs: Pairs, max_samples: int, seed: int) -> Pairs:
    """The pairs, or `max_samples` of them drawn without replacement, in their order."""
    if len(pairs) <= max_samples:
        return pairs
    rows = sampled_rows(len(pairs), max_samples, seed).to(pairs.x.device)
    return Pairs(
        pairs.x.index_select(pairs.row_axis, rows),
        pairs.y.index_select(pairs.row_axis, rows),
        None if pairs.z is None else pairs.z.index_select(-2, rows),
        {name: labels[rows] for name, labels in pairs.labels.items()},
        pairs.row_axis,
    )


def sampled_rows(n: int, max_samples: int, seed: int) -> Tensor:
    """Which of n rows `sample` keeps, in their order."""
    if n <= max_samples:
        return torch.arange(n)
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:max_samples].sort().values


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Every part in evaluation mode, and afterwards each in the mode that it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
