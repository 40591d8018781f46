"""Estimates of the mutual information of held-out representations against the true one: values, bias and spread."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from intrinsic_clip.data import SyntheticLinear
from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

EXPERIMENTS = ("information_estimates",)
NAME = EXPERIMENTS[0]
NOISE, K, N_TEST = "data.noise", "data.shared_dim", "data.n_test"
FOOT = 0.02  # of a panel's height


@dataclass(frozen=True)
class Shown:
    """An estimate of the figure.

    Attributes:
        label: in the legend and the table.
        metric: its name.
        colour, marker: how it is drawn.
        is_bound: whether it is a lower bound.
        end: share of the held-out pairs whose log is the largest number that the estimate can be; None: another end.
    """

    label: str
    metric: str
    colour: str
    marker: str
    is_bound: bool = False
    end: float | None = None


ESTIMATES = (
    Shown("InfoNCE, learned τ", "information/infonce_bound", style.TRUTH, "P", is_bound=True, end=1.0),
    Shown("InfoNCE, best τ", "information/held_out", style.SEQUENCE[0], "o", is_bound=True, end=0.5),
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
    return math.log(_held_out(runs) // 2)


def _held_out(runs: FinishedRuns) -> int:
    return int(runs.tables[NAME][N_TEST].iloc[0])


def summary(runs: FinishedRuns, shown: Shown) -> pd.DataFrame:
    """Return columns truth, mean, std, count of an estimate over the repetitions that give a number, and saturated.

    Saturated: a repetition gives no number, or the mean of a bound is within 1 nat of the largest it can be.
    """
    rows = []
    for noise in runs.settings(NAME, NOISE):
        values = runs.values(NAME, shown.metric, **{NOISE: noise})
        row = {"truth": truth(runs, noise), "count": len(values), "mean": values.mean(), "std": values.std()}
        is_near_end = shown.end is not None and values.mean() > math.log(shown.end * _held_out(runs)) - 1
        is_refused = len(values) < runs.repetitions(NAME, **{NOISE: noise})
        rows.append(row | {"saturated": is_refused or is_near_end})
    return pd.DataFrame(rows).sort_values("truth")


def draw(runs: FinishedRuns) -> Figure:
    """Draw estimated over true information, the errors, and the standard deviations over repetitions."""
    figure, axes = style.panels(3, ["estimates", "bias", "spread"])
    figure.set_size_inches(8.6, 4.2)
    style.logarithmic(axes[2].yaxis)
    for shown in ESTIMATES:
        table = summary(runs, shown)
        for ax, heights in zip(
            axes, (table["mean"], table["mean"] - table["truth"], table["std"]), strict=True
        ):
            _draw_estimate(ax, table, heights, shown)
        axes[0].errorbar(
            table["truth"], table["mean"], table["std"].fillna(0.0), ls="", elinewidth=0.8, color=shown.colour
        )
    ends = [0.0, max(truth(runs, noise) for noise in runs.settings(NAME, NOISE))]
    axes[0].plot(ends, ends, color=style.TRUTH, ls="--", lw=1)
    axes[0].axhline(ceiling(runs), color=style.TRUTH, ls="-.", lw=1)
    axes[1].axhline(0, color=style.TRUTH, ls="--", lw=1)
    for ax, label in zip(
        axes, ("estimate, nats", "estimate − true, nats", "sd over repetitions, nats"), strict=True
    ):
        if ends[1] > ceiling(runs):
            ax.axvspan(ceiling(runs), ends[1], color=style.TRUTH, alpha=0.1, lw=0)
        ax.set(xlabel="true I(X; Y), nats", ylabel=label)
    figure.legend(handles=_legend(ceiling(runs)), loc="outside lower center", ncols=3)
    style.foot(figure, runs)
    return figure


def _draw_estimate(ax: Axes, table: pd.DataFrame, heights: "pd.Series[float]", shown: Shown) -> None:
    """Draw one number of an estimate over the truth: open where it is saturated, at the foot where it has no height."""
    ax.plot(table["truth"], heights, color=shown.colour)
    for at, height, saturated in zip(table["truth"], heights, table["saturated"], strict=True):
        missing = math.isnan(height) or (ax.get_yscale() == "log" and height <= 0)
        ax.plot(
            at,
            FOOT if missing else height,
            transform=ax.get_xaxis_transform() if missing else ax.transData,
            clip_on=not missing,
            color=shown.colour,
            marker=shown.marker,
            mfc="white" if saturated else shown.colour,
            zorder=3,
        )


def _legend(end: float) -> list[Artist]:
    """Return a handle for each estimate, for the lines and for what is saturated."""
    grey: dict[str, Any] = {"color": style.TRUTH, "lw": 1}
    estimates = [
        Line2D([], [], color=each.colour, marker=each.marker, label=each.label) for each in ESTIMATES
    ]
    return [
        *estimates,
        Line2D([], [], ls="--", label="estimate = true", **grey),
        Line2D([], [], ls="-.", label=f"log(N/2) = {end:.1f}, end of InfoNCE at the best τ", **grey),
        Patch(color=style.TRUTH, alpha=0.1, lw=0, label="I(X; Y) beyond log(N/2)"),
        Line2D(
            [],
            [],
            ls="",
            color="black",
            marker="o",
            mfc="white",
            label="open: saturated; at the foot: no number, or an sd of 0",
        ),
    ]


def claims(runs: FinishedRuns) -> list[Claim]:
    """List estimate minus truth at each ν; the means of the lower bounds are not to exceed the truth."""
    lines = []
    for noise in runs.settings(NAME, NOISE):
        repetitions = runs.repetitions(NAME, **{NOISE: noise})
        true_information = truth(runs, noise)
        parts, holds = [], True
        for shown in ESTIMATES:
            values = runs.values(NAME, shown.metric, **{NOISE: noise})
            missing = repetitions - len(values)
            refused = f" (no number in {missing} of {repetitions})" if missing else ""
            parts.append(f"{shown.label} {mean_sd(values - true_information)}{refused}")
            holds &= not (shown.is_bound and len(values) and values.mean() > true_information + 0.05)
        says = f"ν = {noise:g}, I = {true_information:.2f} nats: estimate − I; the bounds are below I"
        lines.append(Claim(says, "; ".join(parts), holds))
    return lines
