"""Train replicates of a pair of encoders on random parts of the pairs, all side by side."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from intrinsic_clip.encoders.feedforward import mlp
from intrinsic_clip.encoders.replication import ReplicatedFeedForward, replicate
from intrinsic_clip.kernels import whole_step
from intrinsic_clip.kernels.adam import by_kernel
from intrinsic_clip.loss import CosineSimilarity, LearnedTemperature, info_nce
from intrinsic_clip.seeding import seeded
from intrinsic_clip.training.build import STEPS_WORTH_A_KERNEL

PART = 0.8  # of the training pairs, which a replicate learns from; it stops by the others
VALIDATED = 1000  # pairs, at most, that a replicate is validated on
ROUNDS = 24  # validations; more would take longer than the training
TRIAL = 5  # steps, after which a time limit is turned into their number
FEWEST_STEPS = 20  # that a time limit leaves
FIRST_TAU = 0.2
TAU_SCALE = 4.0
HIDDEN_LAYERS = 2
Differentiation = Callable[[Tensor, Tensor], None]


@dataclass(frozen=True)
class Recipe:
    """Settings of the training.

    Attributes:
        output_dim: d of the encoders.
        replicates: trainings side by side, S.
        steps: of Adam, one cycle of the learning rate.
        learning_rate: the highest of the cycle.
        input_noise: standard deviation of noise that is added to the inputs, whose own is 1.
        width: of the two hidden layers.
        batch_size: pairs of a step.
        weight_decay: L2, as Adam does it.
    """

    output_dim: int = 24
    replicates: int = 6
    steps: int = 1200
    learning_rate: float = 3e-3
    input_noise: float = 0.3
    width: int = 64
    batch_size: int = 256
    weight_decay: float = 1e-4

    @property
    def is_worth_a_kernel(self) -> bool:
        """Return whether the C++ kernel saves more time than it takes to build, whether or not it is built already.

        An estimate takes two trainings at least, of the pairs and of shuffled ones.
        """
        return 2 * self.steps * self.replicates >= STEPS_WORTH_A_KERNEL


@dataclass(frozen=True)
class Trained:
    """Replicates of a pair of encoders, each as it was when its validation loss was lowest.

    Attributes:
        f, g: encoders of `(*, n, p)` inputs, S copies each.
        tau: learned temperatures, `(S,)`.
        loss: lowest validation loss per replicate, `(S,)`.
        step: at which it was reached, `(S,)`.
        steps: taken.
        shortened: whether the time limit allowed fewer than asked for.
    """

    f: ReplicatedFeedForward
    g: ReplicatedFeedForward
    tau: Tensor
    loss: Tensor
    step: Tensor
    steps: int
    shortened: bool


class Pair(nn.Module):
    """S pairs of encoders with a learned temperature each.

    Args:
        inputs: widths of x and y.
        recipe: settings.
        seed: of the initial weights.
    """

    def __init__(self, inputs: tuple[int, int], recipe: Recipe, seed: int) -> None:
        super().__init__()
        seeds = torch.randint(2**31, (2, recipe.replicates), generator=seeded(seed))
        self.f, self.g = (_encoders(p, recipe, row.tolist()) for p, row in zip(inputs, seeds, strict=True))
        start = math.log(FIRST_TAU) / TAU_SCALE
        self.temperature = LearnedTemperature(TAU_SCALE, initial=start, replicates=(recipe.replicates,))
        self.similarity = CosineSimilarity()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss per replicate of pairs `(S, n, p)`, or `(n, p)` for all."""
        return info_nce(self.similarity(self.f(x)), self.similarity(self.g(y)), self.temperature())

    def differentiation(self, kernel: bool) -> Differentiation:
        """Return what puts the gradients of a batch's losses into the parameters.

        Args:
            kernel: by the C++ kernel, where it serves; by autograd otherwise, with the same numbers but for rounding.
        """
        chains = whole_step.chains_of(self.f, self.g) if kernel else None
        step = chains and whole_step.WholeStep(*chains, self.temperature, whole_step.Norm.OWN)

        def differentiate(x: Tensor, y: Tensor) -> None:
            if step is not None:
                step((x, y))
            else:
                self.zero_grad()
                self(x, y).sum().backward()

        return differentiate


def _encoders(inputs: int, recipe: Recipe, seeds: list[int]) -> ReplicatedFeedForward:
    """Build the replicates of one side."""

    def build(output_dim: int) -> nn.Module:
        return mlp(inputs, output_dim, recipe.width, HIDDEN_LAYERS)

    encoders = replicate(build, inputs, seeds, [recipe.output_dim], (recipe.replicates,))
    assert isinstance(encoders, ReplicatedFeedForward)
    return encoders


def train(
    x: Tensor,
    y: Tensor,
    recipe: Recipe,
    seed: int,
    seconds: float | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Trained:
    """Train S replicates, each on its own random part of the pairs and stopped at its best loss on the others.

    Args:
        x, y: training pairs, `(n, p_x)` and `(n, p_y)`.
        recipe: settings.
        seed: of everything that is drawn.
        seconds: time limit; the cycle of the learning rate is shortened to end in time. None: no limit.
        report: is told the steps done and their number after every round.
    """
    affordable = recipe.steps if seconds is None else _affordable(x, y, recipe, seed, seconds)
    steps, shortened = min(recipe.steps, affordable), affordable < recipe.steps
    pair = Pair((x.shape[1], y.shape[1]), recipe, seed)
    batches = _Batches(x, y, recipe, seeded(seed))
    optimizer: Optimizer = torch.optim.Adam(
        pair.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    if recipe.is_worth_a_kernel:
        optimizer = by_kernel(optimizer)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps)
    best = _Best(pair)
    every = max(1, steps // ROUNDS)
    differentiate = pair.differentiation(recipe.is_worth_a_kernel)
    for step in range(1, steps + 1):
        differentiate(*batches.next())
        optimizer.step()
        if step < steps:
            schedule.step()
        if step % every == 0 or step == steps:
            best.compare(pair, batches.validation(), step)
            if report is not None:
                report(step, steps)
    best.restore(pair)
    tau = pair.temperature().detach()
    return Trained(pair.f, pair.g, tau, best.loss, best.step, steps, shortened)


def _affordable(x: Tensor, y: Tensor, recipe: Recipe, seed: int, seconds: float) -> int:
    """Return how many steps fit into the time, from the length of a few and of a validation.

    The pair and the batches are others than the training's, whose numbers do not depend on a trial so.
    """
    begun = time.monotonic()
    pair = Pair((x.shape[1], y.shape[1]), recipe, seed)
    batches = _Batches(x, y, recipe, seeded(seed))
    differentiate = pair.differentiation(recipe.is_worth_a_kernel)
    differentiate(*batches.next())  # the first is slower
    first = time.monotonic()
    for _ in range(TRIAL):
        differentiate(*batches.next())
    second = time.monotonic()
    _Best(pair).compare(pair, batches.validation(), TRIAL)
    end = time.monotonic()
    return _steps_in(seconds - (end - begun), 1.25 * (second - first) / TRIAL, end - second)


def _steps_in(seconds: float, step: float, validation: float) -> int:
    """Return how many steps, Adam's share included, fit into some seconds beside their validations.

    Args:
        seconds: that are left.
        step, validation: seconds of one.
    """
    steps = (seconds - ROUNDS * validation) / step
    if steps < 2 * ROUNDS:  # each step is validated
        steps = min(seconds / (step + validation), 2 * ROUNDS - 1)
    return max(FEWEST_STEPS, int(steps))


class _Batches:
    """Batches of the replicates' own parts, noise added, and the pairs that validate them."""

    def __init__(self, x: Tensor, y: Tensor, recipe: Recipe, generator: torch.Generator) -> None:
        self.x, self.y, self.noise, self.generator = x, y, recipe.input_noise, generator
        n = len(x)
        self.part = min(n - 2, round(PART * n))
        order = torch.stack([torch.randperm(n, generator=generator) for _ in range(recipe.replicates)])
        self.own, self.others = order[:, : self.part], order[:, self.part :][:, :VALIDATED]
        self.size = min(recipe.batch_size, self.part)
        self.place = self.part

    def next(self) -> tuple[Tensor, Tensor]:
        """Return the next batch, `(S, size, p)` of each side; a new order begins when the last is used up."""
        if self.place + self.size > self.part:
            keys = torch.rand(self.own.shape, generator=self.generator)
            self.own, self.place = self.own.gather(1, keys.argsort(1)), 0
        rows = self.own[:, self.place : self.place + self.size]
        self.place += self.size
        return self._noisy(self.x[rows]), self._noisy(self.y[rows])

    def _noisy(self, rows: Tensor) -> Tensor:
        return rows + self.noise * torch.randn(rows.shape, generator=self.generator)

    def validation(self) -> tuple[Tensor, Tensor]:
        """Return the pairs that each replicate does not learn from."""
        return self.x[self.others], self.y[self.others]


class _Best:
    """Weights of each replicate at its lowest validation loss."""

    def __init__(self, pair: Pair) -> None:
        replicates = len(pair.temperature())
        self.loss = torch.full((replicates,), math.inf)
        self.step = torch.zeros(replicates, dtype=torch.int64)
        self.weights = [weight.detach().clone() for weight in pair.parameters()]

    @torch.no_grad()
    def compare(self, pair: Pair, validation: tuple[Tensor, Tensor], step: int) -> None:
        """Keep the weights of the replicates that are better than before."""
        loss = pair(*validation)
        better = loss < self.loss
        self.loss, self.step = loss.where(better, self.loss), self.step.masked_fill(better, step)
        for kept, weight in zip(self.weights, pair.parameters(), strict=True):
            kept[better] = weight[better]

    @torch.no_grad()
    def restore(self, pair: Pair) -> None:
        """Give each replicate its best weights."""
        for kept, weight in zip(self.weights, pair.parameters(), strict=True):
            weight.copy_(kept)
