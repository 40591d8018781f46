"""Recognise in a test what a probe has measured at the end of the fit, and spare it a second measurement."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_clip.measurement.embeddings import Embeddings


@dataclass(frozen=True)
class FinalNumbers:
    """Numbers that a probe has measured when training ended.

    Attributes:
        embeddings: of the held-out rows at that time.
        rows: which rows were measured, as `Probe.evaluate` takes them.
        values: `(*R,)` each, by name.
    """

    embeddings: Embeddings
    rows: dict[str, str]
    values: dict[str, Tensor]

    def hold_for(self, embeddings: Embeddings, rows: Mapping[str, str]) -> bool:
        """Return whether the same rows are asked for and their embeddings are unchanged, to the last bit.

        They differ where a callback has changed the weights since, as one that restores the best epoch does.
        """
        if dict(rows) != self.rows:
            return False
        before, now = _tensors(self.embeddings), _tensors(embeddings)
        return len(before) == len(now) and all(map(_equal, before, now))


def _tensors(embeddings: Embeddings) -> list[Tensor | None]:
    """Return all that depends on the weights."""
    pair = (embeddings.x, embeddings.y, embeddings.x_raw, embeddings.y_raw, embeddings.tau)
    return [*pair, *embeddings.further.values(), *embeddings.further_raw.values()]


def _equal(before: Tensor | None, now: Tensor | None) -> bool:
    if before is None or now is None:
        return before is now
    return torch.equal(before, now)
