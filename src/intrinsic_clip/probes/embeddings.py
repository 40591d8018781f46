"""The embeddings of one evaluation, taken once and shared by all probes, as are their nearest neighbours."""

from dataclasses import dataclass, field
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from intrinsic_clip.data.paired import Split
from intrinsic_clip.dimension import Neighbours, nearest_neighbours

Side = Literal["x", "y"]


@dataclass
class Embeddings:
    """Representations of the rows of one split.

    Attributes:
        x, y: representations as the loss sees them (normalised), `(*R, n, d)`.
        x_raw, y_raw: the encoders' own outputs, `(*R, n, d)`.
        tau: the temperature, `(*R,)`.
        z: the true latent where known. labels: label sets by name, `(n,)`.
    """

    x: Tensor
    y: Tensor
    x_raw: Tensor
    y_raw: Tensor
    tau: Tensor
    z: Tensor | None = None
    labels: dict[str, Tensor] = field(default_factory=dict)
    _neighbours: dict[Side, Neighbours] = field(default_factory=dict, repr=False)

    def neighbours(self, side: Side, k: int) -> Neighbours:
        """At least k nearest neighbours of f(X) or g(Y) after normalisation, searched for once."""
        found = self._neighbours.get(side)
        if found is None or found.k < k:
            found = self._neighbours[side] = nearest_neighbours(self.x if side == "x" else self.y, k)
        return found


_latest: WeakKeyDictionary[LightningModule, dict[Split, tuple[int, Embeddings]]] = WeakKeyDictionary()


@torch.no_grad()
def take_embeddings(trainer: Trainer, module: LightningModule, split: Split) -> Embeddings:
    """The embeddings of a split; asked again at the same training step, the same object."""
    cache = _latest.setdefault(module, {})
    if split not in cache or cache[split][0] != trainer.global_step:
        cache[split] = (trainer.global_step, _embed(trainer, module, split))
    return cache[split][1]


def forget_embeddings(module: LightningModule) -> None:
    """Take them anew: called when a fit or test begins, since weights may have changed without a step."""
    _latest.pop(module, None)


def _embed(trainer: Trainer, module: Any, split: Split) -> Embeddings:
    pairs = trainer.datamodule.pairs(split)  # type: ignore[attr-defined]
    was_training = module.training
    module.eval()
    x_raw, y_raw = module.encode(pairs.x, pairs.y)
    x, y = module.normalise(x_raw, y_raw)
    module.train(was_training)
    return Embeddings(x, y, x_raw, y_raw, module.temperature(), pairs.z, pairs.labels)
