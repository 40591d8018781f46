"""The rank of the encoders' Jacobians beside the nearest-neighbour estimates."""

from matplotlib.figure import Figure

from paper_figures import style
from paper_figures.claims import Claim, mean_sd
from paper_figures.runs import Runs

EXPERIMENTS = ("synthetic_linear", "synthetic_nonlinear")
ESTIMATES = {
    "jacobian/rank/x": ("rank of ∂f/∂x", style.THIRD, "^"),
    "jacobian/rank/y": ("rank of ∂g/∂y", style.TRUTH, "v"),
    "jacobian/participation/x": ("participation ratio of σ² of ∂f/∂x", style.FOURTH, "D"),
    "id/mle/x": ("MLE of f(X)", style.X, "o"),
    "id/twonn/x": ("TwoNN of f(X)", style.Y, "s"),
}
K = 5


def draw(runs: Runs) -> Figure:
    """All four over d, on linear and on nonlinear data."""
    figure, axes = style.panels(2, ["linear data", "nonlinear data"])
    for ax, experiment in zip(axes, EXPERIMENTS, strict=True):
        for metric, (name, colour, marker) in ESTIMATES.items():
            style.band(ax, runs.curve(experiment, metric), color=colour, marker=marker, label=name)
        style.true_dim(ax, K)
        ax.set(xlabel=style.OUTPUT_DIM, ylabel="dimension", ylim=(0, None))
    axes[0].legend()
    style.foot(figure, runs)
    return figure


def claims(runs: Runs) -> list[Claim]:
    """What each says at one d."""
    found = []
    for experiment in EXPERIMENTS:
        d = runs.nearest_dim(experiment, 19)
        parts = [
            f"{name} {mean_sd(runs.values(experiment, m, d=d))}" for m, (name, _, _) in ESTIMATES.items()
        ]
        overlap = runs.values(experiment, "jacobian/overlap/x", d=d)
        if len(overlap):
            parts.append(f"share of the leading directions in the latent {mean_sd(overlap)}")
        ranks = runs.values(experiment, "jacobian/rank/x", d=d)
        agrees = bool((ranks == K).all()) if len(ranks) else None
        found.append(
            Claim(f"{experiment}, d = {d}: the Jacobian has rank k* = {K}", "; ".join(parts), agrees)
        )
    return found
