"""Mutual information that is finite and known: the InfoNCE bound, τ and ID against it."""

import math

import pandas as pd
from matplotlib.figure import Figure

from intrinsic_clip.data import SyntheticLinear
from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, mean_sd
from intrinsic_clip.paper_figures.finished_runs import Runs

EXPERIMENTS = ("information",)
NOISE, BOUND = "data.noise", "information/infonce_bound"
K, N_TEST = "data.shared_dim", "data.n_test"


def truth(runs: Runs, noise: float) -> float:
    """I(X; Y) in nats."""
    shared = int(runs.tables["information"][K].iloc[0])
    return SyntheticLinear(noise=noise, shared_dim=shared).mutual_information


def _over_truth(runs: Runs, metric: str) -> pd.DataFrame:
    curve = runs.curve("information", metric, NOISE)
    return curve.assign(at=[truth(runs, noise) for noise in curve["at"]]).sort_values("at")


def draw(runs: Runs) -> Figure:
    """Each over the true information."""
    figure, (left, middle, right) = style.panels(
        3, ["InfoNCE bound", "temperature", "intrinsic dimension (MLE)"]
    )
    bound = _over_truth(runs, BOUND)
    style.band(left, bound, color=style.X, marker="o", label="bound, out of sample")
    left.plot(bound["at"], bound["at"], color=style.TRUTH, ls="--", lw=1, label="equal")
    ceiling = math.log(runs.tables["information"][N_TEST].iloc[0])
    left.axhline(ceiling, color=style.THIRD, ls="-.", lw=1, label="log of the held-out pairs")
    left.set(ylabel="nats", ylim=(None, 1.6 * max(ceiling, bound["at"].max())))  # room for the legend
    style.band(middle, _over_truth(runs, "temperature"), color=style.X, marker="o")
    middle.set(ylabel="τ", yscale="log")
    for side, (colour, marker, name) in style.SIDES.items():
        style.band(right, _over_truth(runs, f"id/mle/{side}"), color=colour, marker=marker, label=name)
    style.true_dim(right, int(runs.tables["information"][K].iloc[0]))
    right.set(ylabel="intrinsic dimension", ylim=(0, None))
    for ax in (left, middle, right):
        ax.set(xlabel="true I(X; Y), nats")
    for ax in (left, right):
        ax.legend()
    style.foot(figure, runs)
    return figure


def claims(runs: Runs) -> list[Claim]:
    """The bound is one; τ and ID at each ν."""
    found = []
    for noise in runs.settings("information", NOISE):
        bound, tau, ids = (
            runs.values("information", metric, **{NOISE: noise})
            for metric in (BOUND, "temperature", "id/mle/x")
        )
        known = truth(runs, noise)
        measured = f"bound {mean_sd(bound)} nats; τ {mean_sd(tau, 3)}; ID(f) {mean_sd(ids)}"
        found.append(
            Claim(
                f"ν = {noise:g}: the bound is below I = {known:.2f} nats",
                measured,
                bool(bound.mean() <= known),
            )
        )
    return found
