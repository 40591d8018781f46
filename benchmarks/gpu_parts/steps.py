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
from intrinsic_clip.training.kernel_step import KernelName, LossesAndTau
from intrinsic_clip.training.module import ContrastiveModule

# Ways to take a step, by the settings that choose them.
WAYS: dict[str, tuple[bool, KernelName, bool]] = {  # compiled, kernel, graphed
    "plain": (False, "none", False),
    "graph": (False, "none", True),
    "triton": (False, "triton", False),
    "triton, graph": (False, "triton", True),
    "compiled": (True, "none", False),
    "compiled, graph": (True, "none", True),
}
TO_COMPILE = 25.0  # seconds that a way may take before its first step
PLAIN_INSTEAD = ".*(cannot be a CUDA graph|torch.compile failed|does not serve)"  # what steps warn of


def ways(settings: Settings) -> list[str]:
    """Return the ways to take a step; in miniature those that need neither a compiler nor a GPU."""
    return ["plain", "graph"] if settings.smoke else list(WAYS)


def settings_of(way: str) -> list[str]:
    """Return the settings of a training that choose a way to take steps."""
    compiled, kernel, graphed = WAYS[way]
    return [f"compile={str(compiled).lower()}", f"kernel={kernel}", f"cuda_graph={str(graphed).lower()}"]


def compose(overrides: Sequence[str]) -> Any:
    """Return the settings of a training."""
    with hydra.initialize_config_dir(str(config.conf_folder()), version_base="1.3"):
        return hydra.compose("train", overrides=list(overrides))


class Steps:
    """A training whose steps are taken one by one.

    Hundreds of replicates take seconds to build, so one such training serves for all ways to take its steps.

    Args:
        overrides: of the settings.
        device: where.
    """

    def __init__(self, overrides: Sequence[str], device: str) -> None:
        training = build(RunSpec.of(compose([*overrides, *settings_of("plain")])))
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

    def choose(self, way: str) -> None:
        """Take the next steps in a way of `WAYS`."""
        self.module.choose_step(*WAYS[way])

    def take(self) -> Tensor:
        """Take the next step, and return its losses; that it cannot be taken as chosen is an error."""
        with warnings.catch_warnings():
            warnings.filterwarnings("error", PLAIN_INSTEAD)
            return self._take(self.module.differentiation(self.optimizer))

    def _take(self, differentiate: Callable[..., LossesAndTau]) -> Tensor:
        losses, _ = differentiate(*self.next_rows())
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
        self.take()  # compiles and captures
        step = partial(self._take, self.module.differentiation(self.optimizer))
        return per_call(step, device, calls) / 1e3


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
