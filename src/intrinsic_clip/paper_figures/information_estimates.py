"""Estimates of the mutual information of held-out representations against the true one: values, bias and spread."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from intrinsic_clip.data import SyntheticLinear
from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

EXPERIMENTS = ("information_estimates",)
NAME = EXPERIMENTS[0]
NOISE, K, N_TEST = "data.noise", "data.shared_dim", "data.n_test"


@dataclass(frozen=True)
class Shown:
    """An estimate of the figure.

    Attributes:
        label: in the legend and the table.
        metric: its name.
        colour, marker: how it is drawn.
        is_bound: whether it is a lower bound.
    """

    label: str
    metric: str
    colour: str
    marker: str
    is_bound: bool = False


ESTIMATES = (
    Shown("InfoNCE, learned τ", "information/infonce_bound", style.TRUTH, "x", is_bound=True),
    Shown("InfoNCE, best τ", "information/held_out", style.SEQUENCE[0], "o", is_bound=True),
    Shown("NWJ", "information/nwj", style.SEQUENCE[1], "s", is_bound=True),
    Shown("SMILE", "information/smile", style.SEQUENCE[2], "^"),
    Shown("Gaussian copula", "information/copula", style.SEQUENCE[3], "D"),
    Shown("KSG", "information/ksg", style.SEQUENCE[4], "v"),
)


def truth(runs: FinishedRuns, noise: float) -> float:
    """Return I(X; Y) in nats."""
    shared = int(runs.tables[NAME][K].iloc[0])
    return SyntheticLinear(noise=noise, shared_dim=shared).mutual_information


def ceiling(runs: FinishedRuns) -> float:
    """Return log of half the held-out pairs, which no InfoNCE bound of such a half exceeds."""
    return math.log(int(runs.tables[NAME][N_TEST].iloc[0]) // 2)


def summary(runs: FinishedRuns, shown: Shown) -> pd.DataFrame:
    """Return columns truth, mean, std, count of an estimate: over the repetitions that give a number."""
    rows = []
    for noise in runs.settings(NAME, NOISE):
        values = runs.values(NAME, shown.metric, **{NOISE: noise})
        row = {"truth": truth(runs, noise), "count": len(values)}
        rows.append(row | {"mean": values.mean(), "std": values.std()})
    return pd.DataFrame(rows).sort_values("truth")


def draw(runs: FinishedRuns) -> Figure:
    """Draw estimated over true information, the errors, and the standard deviations over repetitions."""
    figure, axes = style.panels(3, ["estimates", "bias", "spread"])
    for shown in ESTIMATES:
        table = summary(runs, shown)
        line: dict[str, Any] = {"color": shown.colour, "marker": shown.marker}
        axes[0].errorbar(
            table["truth"], table["mean"], table["std"].fillna(0.0), label=shown.label, elinewidth=0.8, **line
        )
        axes[1].plot(table["truth"], table["mean"] - table["truth"], **line)
        axes[2].plot(table["truth"], table["std"], **line)
    ends = [0.0, max(truth(runs, noise) for noise in runs.settings(NAME, NOISE))]
    axes[0].plot(ends, ends, color=style.TRUTH, ls="--", lw=1, label="equal")
    axes[0].axhline(ceiling(runs), color=style.TRUTH, ls="-.", lw=1)
    axes[1].axhline(0, color=style.TRUTH, ls="--", lw=1)
    for ax, label in zip(
        axes, ("estimate, nats", "estimate − true, nats", "sd over repetitions"), strict=True
    ):
        _mark_saturation(ax, runs, ends[1])
        ax.set(xlabel="true I(X; Y), nats", ylabel=label)
    style.logarithmic(axes[2].yaxis)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    style.foot(figure, runs)
    return figure


def _mark_saturation(ax: Axes, runs: FinishedRuns, largest: float) -> None:
    """Shade where the true information is beyond log of half the held-out pairs."""
    start = ceiling(runs)
    if largest > start:
        label = f"beyond log N/2 = {start:.1f}" if ax.get_title(loc="left").startswith("(a)") else None
        ax.axvspan(start, largest, color=style.TRUTH, alpha=0.1, lw=0, label=label)


def claims(runs: FinishedRuns) -> list[Claim]:
    """List estimate minus truth at each ν; the means of the lower bounds are not to exceed the truth."""
    repetitions = runs.repetitions(NAME)
    lines = []
    for noise in runs.settings(NAME, NOISE):
        true_information = truth(runs, noise)
        parts, holds = [], True
        for shown in ESTIMATES:
            values = runs.values(NAME, shown.metric, **{NOISE: noise})
            missing = repetitions - len(values)
            refused = f" (saturated in {missing} of {repetitions})" if missing else ""
            parts.append(f"{shown.label} {mean_sd(values - true_information)}{refused}")
            holds &= not (shown.is_bound and len(values) and values.mean() > true_information + 0.05)
        says = f"ν = {noise:g}, I = {true_information:.2f} nats: estimate − I; the bounds are below I"
        lines.append(Claim(says, "; ".join(parts), holds))
    return lines
