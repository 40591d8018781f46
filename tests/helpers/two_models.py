"""A measurement with a second model, as `measure … against=…` records it."""

from typing import Any

import torch

import intrinsic_clip as ic
from intrinsic_clip.measurement.two_models.compared import Compared
from intrinsic_clip.measurement.two_models.verdict import verdict
from intrinsic_clip.metrics.alignment import directions

Sides = dict[str, torch.Tensor]


def measured_against(first: Sides, second: Sides) -> dict[str, Any]:
    """Return the content of measure.json for rows of two models, by side."""
    numbers = torch.arange(len(first["x"]))
    block = (numbers, directions(first["x"]), directions(second["x"]))
    work = Compared(first, second, numbers, lambda: [block])
    for _, stage in work.stages():
        stage()
    names = ("metrics", "reasons", "recalls", "moved", "distributions", "notes")
    compared: dict[str, Any] = {"n": len(numbers), "of": len(numbers), "distinct": len(work.kept)}
    compared |= {name: getattr(work, name) for name in names}
    compared["verdict"] = verdict(compared)
    one, other = (ic.measure_embeddings(**sides, estimators=["mle"]) for sides in (first, second))
    config = {"x": "old.npy", "y": "text.npy", "against": "new.npy", "run": None, "data": None}
    versions = {"torch": "2"}
    return {"config": config, "versions": versions, **one, "against": {**other, "compared": compared}}
