"""Train in stages: on shuffled pairs, on the pairs for a short time, and longer where that is not enough."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from intrinsic_clip.dimension.row_workers import pytorch_threads
from intrinsic_clip.seeding import seeded
from intrinsic_clip.shared_dimension.kept import KeptTrainings
from intrinsic_clip.shared_dimension.pairs import PreparedPairs
from intrinsic_clip.shared_dimension.training import FEWEST_STEPS, Recipe, Trained, train

SHORT = 0.25  # of the steps: the length of a first training, and of that on shuffled pairs
STILL_FALLING = 0.8  # of a training, after which the best validation loss asks for a longer one
SHUFFLED, FIRST, LONGER = "shuffled pairs", "pairs, short", "pairs"
BUDGETS = {SHUFFLED: 0.15, FIRST: 0.2, LONGER: 0.9}  # of the time that is left
LEAST = 0.1  # of the budget, or a second: the least for a training, whatever was used up before
MORE = 1.2  # of the budget, beyond which a note says how long it took
Report = Callable[[str, int, int], None]


@dataclass
class Stages:
    """Trainings of an estimate, one after the other.

    Args:
        budget: seconds for all, about; None: no limit.
        report: is told the stage, the steps done and their number.
        begun: when the estimate began, on the monotonic clock.
        kept: where finished trainings are kept; None: nowhere.
        threads: of a training, whose matrices are small.

    Attributes:
        notes: what was cut short, a sentence each.
        seconds: duration by stage.
    """

    budget: float | None
    report: Report | None
    begun: float
    kept: KeptTrainings | None = None
    threads: int = 1
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def train(self, pairs: PreparedPairs, recipe: Recipe, seed: int) -> tuple[Trained, Trained]:
        """Return the replicates of the pairs, and those of shuffled pairs.

        Args:
            pairs: to learn from.
            recipe: of the longer training; the others take a part of its steps.
            seed: of everything that is drawn.

        Raises:
            ValueError: a training diverged.
        """
        short = replace(recipe, steps=max(1, round(SHORT * recipe.steps)))
        order = torch.randperm(len(pairs.training), generator=seeded(seed + 1))
        x, y, shuffled = pairs.x[pairs.training], pairs.y[pairs.training], pairs.y[pairs.training[order]]
        null = self._stage(SHUFFLED, x, shuffled, short, seed + 2)
        trained = self._stage(FIRST, x, y, short, seed)
        if float(trained.step.double().mean()) >= STILL_FALLING * trained.steps:
            longer = self._stage(LONGER, x, y, recipe, seed)
            trained = min(trained, longer, key=lambda result: float(result.loss.mean()))
        return trained, null

    def _stage(self, label: str, x: Tensor, y: Tensor, recipe: Recipe, seed: int) -> Trained:
        earlier = None if self.kept is None else self.kept.load(label, x, y, recipe, seed)
        trained, self.seconds[label] = earlier or self._train(label, x, y, recipe, seed)
        if earlier is None and self.kept is not None:
            self.kept.save(label, trained, self.seconds[label], x, y, recipe, seed)
        diverged = int((~trained.loss.isfinite()).sum())
        if diverged:
            raise ValueError(
                f"{diverged} of {len(trained.loss)} trainings on {label} diverged: the loss was never finite; "
                "look for rows that are far from all others"
            )
        if trained.shortened:
            self.notes.append(f"budget: {trained.steps:,} of {recipe.steps:,} steps of training on {label}")
        return trained

    def _train(self, label: str, x: Tensor, y: Tensor, recipe: Recipe, seed: int) -> tuple[Trained, float]:
        """Return a new training and the seconds it took."""
        started = time.monotonic()
        limit = self.budget and self._limit(label, self.budget, started)
        with pytorch_threads(self.threads):
            trained = train(x, y, recipe, seed, limit, self.report and _labelled(self.report, label))
        return trained, time.monotonic() - started

    def _limit(self, label: str, budget: float, now: float) -> float:
        """Return the seconds of a stage: of the time that is left, but not none where preparing took all of it."""
        return max(BUDGETS[label] * (budget - (now - self.begun)), min(1.0, LEAST * budget))

    def exceeded(self, now: float) -> list[str]:
        """Return a sentence about a budget that was exceeded by far; none where it was kept, about."""
        took = now - self.begun
        if self.budget is None or took <= MORE * self.budget:
            return []
        return [
            f"budget: {took:,.{int(took < 10)}f} s in place of {self.budget:g} s, since preparing and reading are not "
            f"shortened, and a training has at least {FEWEST_STEPS} steps"
        ]


def _labelled(report: Report, label: str) -> Callable[[int, int], None]:
    return lambda done, steps: report(label, done, steps)
