"""ID over training-set size and over training: whether it comes down to k*, and where overfitting raises it."""

from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns, N

EXPERIMENTS = ("sample_size",)
K = 5


def draw(runs: FinishedRuns) -> Figure:
    """Draw the final ID and matching over n, and ID over training for each n."""
    titles = ["intrinsic dimension (MLE)", "matching (top 1)", "ID of f(X) along training"]
    figure, (left, middle, right) = style.panels(3, titles)
    style.dimension(left, runs, "sample_size", N, in_sample=True)
    style.matching(middle, runs, "sample_size", "matching/top_1/x_to_y", N)
    for ax in (left, middle):
        ax.set_xlabel("training pairs n")
        style.logarithmic(ax.xaxis)
        ax.legend()
    sizes = runs.settings("sample_size", N)
    for colour, dashes, n in zip(style.SEQUENCE, style.DASHES, sizes, strict=False):
        curve = runs.trajectory("sample_size", "id/mle/x", **{N: n})
        curve = curve[curve["step"] > 0].assign(thousands=lambda rows: rows["step"] / 1000)
        style.band(right, curve, "thousands", color=colour, ls=dashes, label=f"n = {n:,.0f}")
    style.y_axis(right, "id/mle/x")
    right.set_xlabel("thousand training steps")
    right.legend(ncols=2)
    for ax in (left, right):
        style.true_dim(ax, K)
    style.foot(figure, runs)
    return figure


def claims(runs: FinishedRuns) -> list[Claim]:
    """List ID over n, and how far it has risen from its lowest value over training."""
    lines = []
    for n in runs.settings("sample_size", N):
        f, g = (runs.values("sample_size", f"id/mle/{side}", **{N: n}) for side in "xy")
        curve = runs.trajectory("sample_size", "id/mle/x", **{N: n})
        along = curve[curve["step"] > 0]
        lowest = along.loc[along["mean"].idxmin()]
        measured = (
            f"f {mean_sd(f)}, g {mean_sd(g)}; its lowest mean along training was {lowest['mean']:.2f} "
            f"at step {int(lowest['step']):,} of {int(along['step'].max()):,}"
        )
        lines.append(Claim(f"n = {n:,.0f}: ID out of sample (k* = {K})", measured))
    return lines
