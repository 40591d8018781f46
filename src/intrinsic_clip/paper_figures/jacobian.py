"""Rank of the encoders' Jacobians beside the nearest-neighbour estimates."""

from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, judged, mean_sd
from intrinsic_clip.paper_figures.finished_runs import D, FinishedRuns, N

EXPERIMENTS = ("synthetic_linear", "synthetic_nonlinear")
OPTIONAL = ("sample_size_nonlinear",)
ESTIMATES = {
    "jacobian/rank/x": ("rank of ∂f/∂x", style.THIRD, "^"),
    "jacobian/rank/y": ("rank of ∂g/∂y", style.TRUTH, "v"),
    "jacobian/participation/x": ("participation ratio of σ² of ∂f/∂x", style.FOURTH, "D"),
    "id/mle/x": ("MLE of f(X)", style.X, "o"),
    "id/twonn/x": ("TwoNN of f(X)", style.Y, "s"),
}
K = 5


def draw(runs: FinishedRuns) -> Figure:
    """Draw all estimates over d on linear and on nonlinear data, and over the training pairs on nonlinear data."""
    panels = [(EXPERIMENTS[0], D, "linear data"), (EXPERIMENTS[1], D, "nonlinear data")]
    panels += [(name, N, "nonlinear data, over n") for name in OPTIONAL if name in runs]
    figure, axes = style.panels(len(panels), [title for _, _, title in panels])
    for ax, (experiment, over, _) in zip(axes, panels, strict=True):
        for metric, (name, colour, marker) in ESTIMATES.items():
            curve = runs.curve(experiment, metric, over)
            style.band(ax, curve, color=colour, marker=marker, label=name)
        style.true_dim(ax, K)
        ax.set(ylabel="dimension", ylim=(0, None))
        style.x_axis_of_dims(ax)
        if over == N:
            ax.set_xlabel("training pairs n")
            style.logarithmic(ax.xaxis)
    style.legend_above(figure, axes[0], ncols=3)
    style.foot(figure, runs)
    return figure


def claims(runs: FinishedRuns) -> list[Claim]:
    """Compare the estimates at one d, and on nonlinear data at every n."""
    lines = []
    for experiment in EXPERIMENTS:
        d = runs.shown_dim(experiment)
        says = f"{experiment}, d = {d}: the Jacobians have rank k* = {K}"
        lines.append(_claim(runs, says, experiment, d=d))
    for experiment in OPTIONAL:
        for n in runs.settings(experiment, N) if experiment in runs else []:
            says = f"nonlinear data, n = {n:,.0f}: the Jacobians have rank k* = {K}"
            lines.append(_claim(runs, says, experiment, **{N: n}))
    return lines


def _claim(runs: FinishedRuns, says: str, experiment: str, **where: float) -> Claim:
    parts = [
        f"{name} {mean_sd(runs.values(experiment, metric, **where))}"
        for metric, (name, _, _) in ESTIMATES.items()
    ]
    overlap = runs.values(experiment, "jacobian/overlap/x", **where)
    if len(overlap):
        parts.append(f"share of the leading directions in the latent {mean_sd(overlap)}")
    ranks = [runs.values(experiment, f"jacobian/rank/{side}", **where) for side in "xy"]
    return Claim(says, "; ".join(parts), judged(all((r == K).all() for r in ranks), *ranks))
