"""Compose trainings, and take their steps in a bare loop."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import hydra
import torch
from torch import Tensor

from gpu_parts.settings import Settings
from gpu_parts.timing import per_call
from intrinsic_clip import config
from intrinsic_clip.data import Batches, PairedData
from intrinsic_clip.data.paired import Split
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.training.build import build
from intrinsic_clip.training.module import ContrastiveModule

# Ways to take a step, by the settings that choose them.
WAYS: dict[str, list[str]] = {
    "plain": ["kernel=none", "compile=false", "cuda_graph=false"],
    "graph": ["kernel=none", "compile=false", "cuda_graph=true"],
    "triton": ["kernel=triton", "compile=false", "cuda_graph=false"],
    "triton, graph": ["kernel=triton", "compile=false", "cuda_graph=true"],
    "compiled": ["kernel=none", "compile=true", "cuda_graph=false"],
    "compiled, graph": ["kernel=none", "compile=true", "cuda_graph=true"],
}
TO_COMPILE = 25.0  # seconds that a way may take before its first step


def ways(settings: Settings) -> dict[str, list[str]]:
    """Return the ways to take a step; in miniature those that need neither a compiler nor a GPU."""
    return {way: WAYS[way] for way in (("plain", "graph") if settings.smoke else WAYS)}


def compose(overrides: Sequence[str]) -> Any:
    """Return the settings of a training."""
    with hydra.initialize_config_dir(str(config.conf_folder()), version_base="1.3"):
        return hydra.compose("train", overrides=list(overrides))


class Steps:
    """A training whose steps are taken one by one.

    Args:
        overrides: of the settings.
        device: where.
        way: to take them, of `WAYS`.
    """

    def __init__(self, overrides: Sequence[str], device: str, way: str = "plain") -> None:
        training = build(RunSpec.of(compose([*overrides, *WAYS[way]])))
        self.data: PairedData = training.data
        self.probes = training.probes
        self.data._pairs = self.data.load(torch.device(device))
        self.module: ContrastiveModule = training.module.to(device)
        append = self.data.pairs("append")
        self.module.x_append, self.module.y_append = append.x, append.y
        self.module.row_axis = append.row_axis
        self.optimizer = self.module.configure_optimizers()
        self.batches = list(Batches(self.data.pairs("train"), self.data.batch_size))
        self.taken = 0

    def take(self) -> Tensor:
        """Take the next step, and return its losses."""
        losses, _ = self.module.differentiation(self.optimizer)(*self.next_rows())
        self.optimizer.step()
        self.taken += 1
        return losses

    def next_rows(self) -> tuple[Tensor, ...]:
        """Return the batch and the append rows of the next step."""
        x, y = self.batches[self.taken % len(self.batches)]
        rows = (
            self.module._append_rows(side, self.taken)
            for side in (self.module.x_append, self.module.y_append)
        )
        return x, y, *rows

    def seconds(self, device: str, calls: int) -> float:
        """Return the seconds of a step, the least of three rows of calls."""
        return per_call(self.take, device, calls) / 1e3


def embeddings(steps: Steps, split: Split) -> Any:
    """Return what probes are given for a split."""
    from intrinsic_clip.probes.embeddings import _embed, sample

    with torch.no_grad():
        return _embed(steps.module, sample(steps.data.pairs(split), 10_000, 0))


def evaluations(steps: Steps, split: Split) -> dict[str, Callable[[], Any]]:
    """Return the measurement of each probe that measures a split along the way, by the probe's name."""
    from intrinsic_clip.probes import JacobianProbe, Probe, RecoveryProbe

    subject = embeddings(steps, split)
    actions: dict[str, Callable[[], Any]] = {}
    for probe in steps.probes:
        if not isinstance(probe, Probe) or isinstance(probe, JacobianProbe | RecoveryProbe):
            continue
        if split == "test" or probe.in_sample:
            actions[type(probe).__name__] = _quietly(partial(probe.measure, subject))
    return actions


def _quietly(action: Callable[[], Any]) -> Callable[[], Any]:
    """Return an action without gradient and without the warnings of untrained encoders."""

    def run() -> Any:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return action()

    return run
