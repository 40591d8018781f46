"""Estimated against true dimension, k* from 1 to 15 at one output dimension."""

from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, judged, mean_sd, near
from intrinsic_clip.paper_figures.finished_runs import D, FinishedRuns

EXPERIMENTS = ("shared_dim",)
K = "data.shared_dim"
ESTIMATES = {
    "id/mle/x": ("MLE", style.X, "o"),
    "id/twonn/x": ("TwoNN", style.Y, "s"),
    "jacobian/rank/x": ("rank of ∂f/∂x", style.THIRD, "^"),
}


def draw(runs: FinishedRuns) -> Figure:
    """Draw three estimates of ID(f), and matching, over k*."""
    d = runs.output_dims("shared_dim")[0]
    figure, (left, right) = style.panels(2, [f"ID of f(X), d = {d}", "matching (top 1)"])
    for metric, (name, colour, marker) in ESTIMATES.items():
        style.band(left, runs.curve("shared_dim", metric, K), color=colour, marker=marker, label=name)
    ks = runs.settings("shared_dim", K)
    left.plot(ks, ks, color=style.TRUTH, ls="--", lw=1, label="equal")
    left.set(ylabel="estimated dimension", ylim=(0, None))
    style.matching(right, runs, "shared_dim", "matching/top_1/x_to_y", K)
    for ax in (left, right):
        style.x_axis_of_dims(ax, "true k*")
        ax.legend()
    style.foot(figure, runs)
    return figure


def claims(runs: FinishedRuns) -> list[Claim]:
    """Check that ID equals k* at each k*."""
    lines = []
    d = int(runs.tables["shared_dim"][D].iloc[0])
    for k in runs.settings("shared_dim", K):
        f, g = (runs.values("shared_dim", f"id/mle/{side}", **{K: k}) for side in "xy")
        rank = runs.values("shared_dim", "jacobian/rank/x", **{K: k})
        measured = f"f {mean_sd(f)}, g {mean_sd(g)}; Jacobian rank {mean_sd(rank)}"
        lines.append(
            Claim(
                f"k* = {k:g}, d = {d}: ID(f) = ID(g) = k*", measured, judged(near(f, k) and near(g, k), f, g)
            )
        )
    return lines
