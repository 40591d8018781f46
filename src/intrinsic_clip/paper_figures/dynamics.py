"""Figure 2: one synthetic training from beginning to end."""

from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, judged, mean_sd, near
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns, all_similarities

EXPERIMENTS = ("dynamics",)
K = 5


def draw(runs: FinishedRuns) -> Figure:
    """Draw similarities of held-out pairs at the end, and ID and τ over training."""
    titles = ["similarities out of sample", "intrinsic dimension (MLE)", "temperature"]
    figure, (left, middle, right) = style.panels(3, titles)
    style.similarities(left, runs.embeddings("dynamics", runs.shown_dim("dynamics")))
    for side, (colour, _, name) in style.SIDE_STYLES.items():
        curve = runs.trajectory("dynamics", f"id/mle/{side}")
        line = "-" if side == "x" else "--"  # the two coincide
        style.band(middle, curve, "epoch", color=colour, ls=line, label=name)
    style.true_dim(middle, K)
    style.y_axis(middle, "id/mle/x")
    tau = runs.trajectory("dynamics", "temperature")
    style.band(right, tau.groupby("epoch", as_index=False).last(), "epoch", color=style.X)
    style.y_axis(right, "temperature")
    for ax in (middle, right):
        style.x_axis_of_dims(ax, "epoch")
    middle.legend()
    style.foot(figure, runs)
    return figure


def claims(runs: FinishedRuns) -> list[Claim]:
    """Check that ID comes to k*, τ falls towards 0, and the similarity of positive pairs is almost constant."""
    embeddings = runs.embeddings("dynamics", runs.shown_dim("dynamics"))
    positive, random = all_similarities(embeddings)
    tau, f = runs.values("dynamics", "temperature"), runs.values("dynamics", "id/mle/x")
    return [
        Claim(
            "ID comes to k* = 5",
            f"ID(f) {mean_sd(f)}, ID(g) {mean_sd(runs.values('dynamics', 'id/mle/y'))}",
            near(f, K),
        ),
        Claim("τ falls towards 0 (from 1)", mean_sd(tau, 4), judged(tau.mean() < 0.05, tau)),
        Claim(
            "the similarity of positive pairs is almost constant, and that of random pairs is not",
            f"coefficient of variation {positive.std() / positive.mean():.2f}; positive {positive.mean():.2f} ± "
            f"{positive.std():.2f}, random {random.mean():.2f} ± {random.std():.2f} (one repetition)",
        ),
    ]
