"""Draw `images/temperatures.png`, one small training for each thing that a temperature's course can mean.

python docs/draw_temperatures.py
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from intrinsic_clip.metrics import TemperatureDiagnosis, diagnose_temperature, optimal_temperature

PICTURE = Path(__file__).parent / "images" / "temperatures.png"
BATCH, HELD_OUT, LATENT, INPUT, DIMS = 64, 512, 4, 16, 8


@dataclass(frozen=True)
class Case:
    """A training whose temperature goes one of the ways that are told apart.

    Attributes:
        expected: the verdict.
        noise: of the second view, relative to the first.
        steps, rate: of Adam.
        scale_rate: of the logit scale; 0: it is not given to the optimizer.
        start: τ at the start.
        pairs: how many there are; fewer than are drawn are seen again and again.
        shuffled: whether partners are dealt anew in each batch, so that there is nothing to learn.
        clamp: lower limit of τ, by clamping the scale after each step as open_clip does.
        is_plain: whether τ itself is the parameter, and not log 1/τ.
        schedule: share of the learning rates by the share of training that is over.
    """

    expected: str
    noise: float = 0.3
    steps: int = 1200
    rate: float = 3e-3
    scale_rate: float = 3e-3
    start: float = 0.07
    pairs: int = 100_000
    shuffled: bool = False
    clamp: float = 0.0
    is_plain: bool = False
    schedule: Callable[[float], float] = lambda share: 1.0


def cosine(share: float) -> float:
    """Return the share of the learning rate in a schedule that ends at 0."""
    return (1 + math.cos(math.pi * share)) / 2


CASES = [
    Case("settled", noise=1.0, schedule=cosine),
    Case("still falling", noise=0.0, scale_rate=1e-3),
    Case("at its clamp", noise=0.0, scale_rate=1e-2, clamp=0.01, steps=1800),
    Case("stalled", noise=0.0, scale_rate=1e-5, rate=3e-4),
    Case("rising", shuffled=True),
    Case("diverging", noise=0.0, is_plain=True, steps=2400),
    Case("fixed", scale_rate=0.0),
]


def course(case: Case, seed: int) -> tuple[Tensor, Tensor, float]:
    """Train; return τ and the loss of each step, and the best τ for held-out rows."""
    torch.manual_seed(seed)
    mixing = torch.randn(2, LATENT, INPUT)
    z = torch.randn(case.pairs + HELD_OUT, LATENT)
    views = [z @ mixing[0], (z + case.noise * torch.randn_like(z)) @ mixing[1]]
    towers = [nn.Sequential(nn.Linear(INPUT, 32), nn.ReLU(), nn.Linear(32, DIMS)) for _ in range(2)]
    held = nn.Parameter(torch.tensor(case.start if case.is_plain else math.log(1 / case.start)))
    weights = [weight for tower in towers for weight in tower.parameters()]
    groups = [{"params": weights, "lr": case.rate}]
    groups += [{"params": [held], "lr": case.scale_rate}] if case.scale_rate else []
    optimizer = torch.optim.Adam(groups)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: case.schedule(step / case.steps))
    taus, losses = torch.empty(case.steps), torch.empty(case.steps)
    for step in range(case.steps):
        rows = torch.randint(case.pairs, (BATCH,))
        partners = rows[torch.randperm(BATCH)] if case.shuffled else rows
        x, y = normalize(towers[0](views[0][rows]), dim=1), normalize(towers[1](views[1][partners]), dim=1)
        scale = 1 / held if case.is_plain else held.exp()
        logits, targets = scale * x @ y.T, torch.arange(BATCH)
        loss = (cross_entropy(logits, targets) + cross_entropy(logits.T, targets)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        if case.clamp:
            held.data.clamp_(0, math.log(1 / case.clamp))
        tau = held.detach() if case.is_plain else (-held.detach()).exp()
        taus[step], losses[step] = tau, loss.detach()
    with torch.no_grad():
        held_out = [
            normalize(tower(view[-HELD_OUT:]), dim=1) for tower, view in zip(towers, views, strict=True)
        ]
    partners = torch.randperm(HELD_OUT) if case.shuffled else torch.arange(HELD_OUT)
    return taus, losses, float(optimal_temperature(held_out[0], held_out[1][partners], BATCH))


def diagnosis(case: Case, seed: int) -> TemperatureDiagnosis:
    """Train, and diagnose the course."""
    taus, losses, optimal = course(case, seed)
    return diagnose_temperature(taus, losses, optimal=optimal, batch_size=BATCH)


def draw(seed: int = 0) -> None:
    """Draw each case: τ, the loss, and the best τ for held-out rows."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 5.6), layout="constrained")
    panels = figure.subplots(2, 4).flat
    for panel, case in zip(panels, CASES, strict=False):
        taus, losses, optimal = course(case, seed)
        diagnosed = diagnose_temperature(taus, losses, optimal=optimal, batch_size=BATCH)
        print(f"{case.expected}\n    {diagnosed.text}")
        shown = torch.where((taus > 0) & taus.isfinite(), taus, math.nan)
        panel.plot(shown, color="#0072b2", label="τ")
        panel.set(yscale="log", ylim=(3e-3, 0.3), xlim=(0, case.steps), title=diagnosed.verdict)
        if 3e-3 < optimal < 0.3:
            panel.axhline(optimal, color="#d55e00", linestyle="--", label="best τ for held-out rows")
        if case.clamp:
            panel.axhline(case.clamp, color="#222222", linestyle=":", label="clamp")
        beside = panel.twinx()
        means = losses.unfold(0, 20, 20).mean(1)
        beside.plot(torch.arange(len(means)) * 20 + 10, means, color="#999999", label="loss (right)")
        beside.set(ylim=(0, 6.5))
    legend = figure.axes[7]
    legend.axis("off")
    colours = {"τ": ("#0072b2", "-"), "loss (right axis)": ("#999999", "-")}
    colours |= {"best τ for held-out rows": ("#d55e00", "--"), "clamp": ("#222222", ":")}
    for label, (colour, style) in colours.items():
        legend.plot([], [], color=colour, linestyle=style, label=label)
    legend.legend(loc="center", frameon=False)
    figure.supxlabel("training step")
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    draw()
