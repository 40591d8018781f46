"""Contrast: temperatures that are not learned."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

EXPERIMENTS = ("fixed_temperature", "synthetic_linear")
TAU = "objective.temperature.tau"
K = 5


def draw(runs: FinishedRuns) -> Figure:
    """Draw matching and ID over the fixed τ, with those of a learned τ as a horizontal band."""
    d = runs.shown_dim("synthetic_linear")
    figure, (left, right) = style.panels(2, ["matching (top 1)", "intrinsic dimension (MLE)"])
    style.matching(left, runs, "fixed_temperature", "matching/top_1/x_to_y", TAU)
    _level(left, runs.values("synthetic_linear", "matching/top_1/x_to_y", d=d))
    style.dimension(right, runs, "fixed_temperature", TAU)
    _level(right, runs.values("synthetic_linear", "id/mle/x", d=d))
    style.true_dim(right, K)
    for ax in (left, right):
        ax.set_xlabel("fixed τ")
        style.logarithmic(ax.xaxis)
        ax.legend()
    style.foot(figure, runs)
    return figure


def _level(ax: Axes, values: "pd.Series[float]") -> None:
    mean, spread = values.mean(), values.std() if len(values) > 1 else 0.0
    ax.axhline(mean, color=style.THIRD, ls="-.", label="τ learned")
    ax.axhspan(mean - spread, mean + spread, color=style.THIRD, alpha=0.18, lw=0)


def claims(runs: FinishedRuns) -> list[Claim]:
    """List ID and matching of each fixed τ beside those of a learned τ."""
    d = runs.shown_dim("synthetic_linear")
    learned = mean_sd(runs.values("synthetic_linear", "id/mle/x", d=d))
    matched = mean_sd(runs.values("synthetic_linear", "matching/top_1/x_to_y", d=d))
    lines = [Claim(f"d = {d}, τ learned: ID(f), matching", f"{learned}, {matched}")]
    for tau in runs.settings("fixed_temperature", TAU):
        ids = runs.values("fixed_temperature", "id/mle/x", **{TAU: tau})
        top = runs.values("fixed_temperature", "matching/top_1/x_to_y", **{TAU: tau})
        lines.append(Claim(f"τ = {tau:g} fixed: ID(f), matching", f"{mean_sd(ids)}, {mean_sd(top)}"))
    return lines
