"""Mutual information that is finite and known: the InfoNCE bound, τ and ID against it."""

import math

import pandas as pd
from matplotlib.figure import Figure

from intrinsic_clip.data import SyntheticLinear
from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, judged, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

EXPERIMENTS = ("information",)
NOISE, BOUND = "data.noise", "information/infonce_bound"
K, N_TEST = "data.shared_dim", "data.n_test"


def truth(runs: FinishedRuns, noise: float) -> float:
    """Return I(X; Y) in nats."""
    shared = int(runs.tables["information"][K].iloc[0])
    return SyntheticLinear(noise=noise, shared_dim=shared).mutual_information


def _over_truth(runs: FinishedRuns, metric: str) -> pd.DataFrame:
    curve = runs.curve("information", metric, NOISE)
    return curve.assign(at=[truth(runs, noise) for noise in curve["at"]]).sort_values("at")


def draw(runs: FinishedRuns) -> Figure:
    """Draw the bound, τ and ID over the true information."""
    figure, (left, middle, right) = style.panels(
        3, ["InfoNCE bound", "temperature", "intrinsic dimension (MLE)"]
    )
    bound = _over_truth(runs, BOUND)
    style.band(left, bound, color=style.X, marker="o", label="bound, out of sample")
    left.plot(bound["at"], bound["at"], color=style.TRUTH, ls="--", lw=1, label="equal")
    ceiling = math.log(runs.tables["information"][N_TEST].iloc[0])
    left.axhline(ceiling, color=style.THIRD, ls="-.", lw=1, label="log of the held-out pairs")
    style.y_axis(left, BOUND)
    left.set(ylim=(None, 1.6 * max(ceiling, bound["at"].max())))  # room for the legend
    style.band(middle, _over_truth(runs, "temperature"), color=style.X, marker="o")
    style.y_axis(middle, "temperature")
    for side, (colour, marker, name) in style.SIDE_STYLES.items():
        style.band(right, _over_truth(runs, f"id/mle/{side}"), color=colour, marker=marker, label=name)
    style.true_dim(right, int(runs.tables["information"][K].iloc[0]))
    style.y_axis(right, "id/mle/x")
    for ax in (left, middle, right):
        ax.set(xlabel="true I(X; Y), nats")
    for ax in (left, right):
        ax.legend()
    style.foot(figure, runs)
    return figure


def claims(runs: FinishedRuns) -> list[Claim]:
    """Check that the bound lies below the true information at each ν, and list τ and ID."""
    lines = []
    for noise in runs.settings("information", NOISE):
        bound, tau, ids = (
            runs.values("information", metric, **{NOISE: noise})
            for metric in (BOUND, "temperature", "id/mle/x")
        )
        true_information = truth(runs, noise)
        measured = f"bound {mean_sd(bound)} nats; τ {mean_sd(tau, 3)}; ID(f) {mean_sd(ids)}"
        lines.append(
            Claim(
                f"ν = {noise:g}: the bound is below I = {true_information:.2f} nats",
                measured,
                judged(bound.mean() <= true_information, bound),
            )
        )
    return lines
