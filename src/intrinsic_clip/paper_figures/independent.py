"""Appendix: independent modalities, which share nothing."""

from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, judged, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

EXPERIMENTS = ("synthetic_independent",)
BY_CHANCE = 10  # rows matched, up to which chance alone is at work; one is expected


def draw(runs: FinishedRuns) -> Figure:
    """Draw matching, ID and τ over d."""
    figure, (left, middle, right) = style.panels(
        3, ["matching (top 1)", "intrinsic dimension (MLE)", "temperature"]
    )
    style.matching(left, runs, *EXPERIMENTS, "matching/top_1/x_to_y")
    style.dimension(middle, runs, *EXPERIMENTS)
    dims = runs.output_dims(*EXPERIMENTS)
    middle.plot(dims, dims, color=style.TRUTH, ls="--", lw=1, label="d")
    estimates = runs.curve(*EXPERIMENTS, "id/mle/x")["mean"]
    middle.set_ylim(0, 1.2 * (dims[-1] if estimates.empty else estimates.max()))
    style.band(right, runs.curve(*EXPERIMENTS, "temperature"), color=style.X, marker="o")
    style.y_axis(right, "temperature")
    for ax in (left, middle, right):
        style.x_axis_of_dims(ax)
    for ax in (left, middle):
        ax.legend()
    style.foot(figure, runs)
    return figure


def claims(runs: FinishedRuns) -> list[Claim]:
    """Check that nothing is matched and that τ does not fall to 0."""
    d = runs.shown_dim(*EXPERIMENTS)
    matching, tau = (runs.values(*EXPERIMENTS, m, d=d) for m in ("matching/top_1/x_to_y", "temperature"))
    ids = runs.values(*EXPERIMENTS, "id/mle/x", d=d)
    rows = min(runs.settings(*EXPERIMENTS, "data.n_test"))
    return [
        Claim(
            f"d = {d}: held-out pairs are matched by chance alone",
            mean_sd(matching, 4),
            judged(matching.mean() < BY_CHANCE / rows, matching),
        ),
        Claim(f"d = {d}: τ does not go to 0", mean_sd(tau, 3), judged(tau.mean() > 0.05, tau)),
        Claim(f"d = {d}: there is no k* for ID to adapt to", f"ID(f) {mean_sd(ids)}"),
    ]
